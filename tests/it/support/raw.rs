//! Bytes on a socket, for what no HTTP client would send.

use super::PATIENCE;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends `bytes`, then `more` as long as the other side takes it, and reads all that comes until the other side closes.
pub async fn exchange(address: SocketAddr, bytes: &[u8], more: impl Iterator<Item = Vec<u8>>) -> String {
    let (mut from, mut to) = TcpStream::connect(address).await.unwrap().into_split();
    let read = async {
        let mut all = Vec::new();
        // A reset after the reply is as good an end as any.
        while let Ok(1..) = from.read_buf(&mut all).await {}
        String::from_utf8_lossy(&all).into_owned()
    };
    let write = async {
        let mut taken = to.write_all(bytes).await.is_ok();
        for piece in more {
            taken = taken && to.write_all(&piece).await.is_ok();
            if !taken {
                break;
            }
        }
        // Kept open: what follows is the other side's to decide.
        std::future::pending::<()>().await;
    };
    let read = async {
        tokio::select! {
            all = read => all,
            () = write => unreachable!(),
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the connection is not closed")
}

/// The status of a reply as it stands on the wire; 0 where there is none.
pub fn status(reply: &str) -> u16 {
    reply.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

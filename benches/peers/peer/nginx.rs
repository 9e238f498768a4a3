//! nginx: `proxy_pass` over kept connections as the floor of passing on, a static file as that of answering.

use super::{Ask, Asked, Peer, Place, said, write};
use crate::answers::MODEL;
use std::path::Path;
use std::process::Command;

/// nginx, from Debian's package or wherever the path finds it.
pub struct Nginx;

impl Peer for Nginx {
    fn name(&self) -> &'static str {
        "nginx"
    }

    fn version(&self, installed: &Path) -> Result<String, String> {
        let said =
            said(Command::new(program(installed)).arg("-v")).ok_or("no nginx; run benches/peers/install.sh nginx")?;
        Ok(said.rsplit('/').next().unwrap_or_default().to_owned())
    }

    fn command(&self, place: &Place<'_>) -> Result<Option<Command>, String> {
        let Place { folder, port, upstream, .. } = place;
        let file = folder.join("stored");
        write(&file, place.file)?;
        let there = folder.display();
        // Buffers that hold the bodies of the bench: nginx would write them to disk, and that is not what is compared.
        let config = format!(
            "worker_processes 1; daemon off; pid {there}/nginx.pid; error_log {there}/error.log;
             events {{ worker_connections 1024; }}
             http {{
               access_log off; tcp_nodelay on; keepalive_requests 1000000000; client_max_body_size 64m;
               client_body_buffer_size 2m; client_body_temp_path {there}/body; proxy_temp_path {there}/proxy;
               fastcgi_temp_path {there}/fastcgi; uwsgi_temp_path {there}/uwsgi; scgi_temp_path {there}/scgi;
               open_file_cache max=16;
               upstream mock {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
               server {{
                 listen 127.0.0.1:{port};
                 location / {{ proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; }}
                 location = /stored {{ root {there}; default_type application/json; }}
               }}
             }}"
        );
        write(&folder.join("nginx.conf"), config.as_bytes())?;
        let mut command = Command::new(program(place.installed));
        command.args(["-p", &folder.to_string_lossy(), "-c", &folder.join("nginx.conf").to_string_lossy()]);
        Ok(Some(command))
    }

    fn asked(&self, ask: Ask, _: u16) -> Option<Asked> {
        let (method, path) = match ask {
            Ask::Fresh => ("POST", "/v1/chat/completions"),
            Ask::Stored => ("GET", "/stored"),
        };
        Some(Asked { method, path, headers: String::new(), model: MODEL, in_head: "" })
    }
}

fn program(installed: &Path) -> std::path::PathBuf {
    let own = installed.join("nginx/usr/sbin/nginx");
    if own.exists() { own } else { "nginx".into() }
}

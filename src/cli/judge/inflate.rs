//! Gzip (RFC 1952) and deflate (RFC 1951), reading only: labelled sets come compressed, and nothing else here does.

/// Longest code of a Huffman table, in bits.
const MOST_BITS: usize = 15;

/// The text of a gzip file of one member. The error says what is wrong with it.
pub(super) fn gunzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let short = || "it ends too early".to_owned();
    let head = bytes.get(..10).ok_or_else(short)?;
    if head[..3] != [0x1f, 0x8b, 8] {
        return Err("it is no gzip file".to_owned());
    }
    let flags = head[3];
    let mut at = 10;
    if flags & 4 != 0 {
        let length = bytes.get(at..at + 2).ok_or_else(short)?;
        at += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    }
    // The name, and the comment: each ends with a zero.
    for flag in [8, 16] {
        if flags & flag != 0 {
            let rest = bytes.get(at..).ok_or_else(short)?;
            at += rest.iter().position(|byte| *byte == 0).ok_or_else(short)? + 1;
        }
    }
    at += if flags & 2 != 0 { 2 } else { 0 };
    let mut input = Bits { bytes: bytes.get(at..).ok_or_else(short)?, at: 0, bit: 0 };
    let out = inflate(&mut input)?;
    let end = input.at + usize::from(input.bit > 0);
    let sum = input.bytes.get(end..end + 4).ok_or_else(short)?;
    if crc32fast::hash(&out) != u32::from_le_bytes([sum[0], sum[1], sum[2], sum[3]]) {
        return Err("its checksum is wrong".to_owned());
    }
    Ok(out)
}

/// Bits, the lowest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    bit: u32,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Result<usize, String> {
        let mut value = 0;
        for place in 0..count {
            let byte = *self.bytes.get(self.at).ok_or("it ends too early")?;
            value |= usize::from(byte >> self.bit & 1) << place;
            self.bit += 1;
            if self.bit == 8 {
                (self.bit, self.at) = (0, self.at + 1);
            }
        }
        Ok(value)
    }
}

/// A canonical Huffman code: how many codes there are of each length, and their symbols in order.
struct Huffman {
    counts: [usize; MOST_BITS + 1],
    symbols: Vec<usize>,
}

impl Huffman {
    fn new(lengths: &[usize]) -> Huffman {
        let mut counts = [0; MOST_BITS + 1];
        lengths.iter().for_each(|length| counts[*length] += 1);
        counts[0] = 0;
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|symbol| lengths[*symbol] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        Huffman { counts, symbols }
    }

    fn decode(&self, input: &mut Bits<'_>) -> Result<usize, String> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= input.take(1)?;
            if code < first + count {
                return Ok(self.symbols[index + code - first]);
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        Err("it holds a code that means nothing".to_owned())
    }
}

fn inflate(input: &mut Bits<'_>) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    loop {
        let last = input.take(1)? == 1;
        match input.take(2)? {
            0 => stored(input, &mut out)?,
            1 => {
                let lengths: Vec<usize> = (0..288)
                    .map(|symbol| [8, 9, 7, 8][[144, 256, 280].partition_point(|from| *from <= symbol)])
                    .collect();
                block(input, &mut out, &Huffman::new(&lengths), &Huffman::new(&[5; 30]))?;
            }
            2 => {
                let (literals, distances) = tables(input)?;
                block(input, &mut out, &literals, &distances)?;
            }
            _ => return Err("it holds a block of no known kind".to_owned()),
        }
        if last {
            return Ok(out);
        }
    }
}

fn stored(input: &mut Bits<'_>, out: &mut Vec<u8>) -> Result<(), String> {
    if input.bit > 0 {
        (input.bit, input.at) = (0, input.at + 1);
    }
    let length = input.take(16)?;
    input.take(16)?;
    let bytes = input.bytes.get(input.at..input.at + length).ok_or("it ends too early")?;
    out.extend_from_slice(bytes);
    input.at += length;
    Ok(())
}

/// The two codes of a block, themselves coded.
fn tables(input: &mut Bits<'_>) -> Result<(Huffman, Huffman), String> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let (literals, distances, codes) = (input.take(5)? + 257, input.take(5)? + 1, input.take(4)? + 4);
    let mut lengths = [0; 19];
    for place in ORDER.iter().take(codes) {
        lengths[*place] = input.take(3)?;
    }
    let code = Huffman::new(&lengths);
    let mut lengths = Vec::with_capacity(literals + distances);
    while lengths.len() < literals + distances {
        let (value, times) = match code.decode(input)? {
            16 => (*lengths.last().ok_or("it repeats what is not there")?, 3 + input.take(2)?),
            17 => (0, 3 + input.take(3)?),
            18 => (0, 11 + input.take(7)?),
            length => (length, 1),
        };
        lengths.extend(std::iter::repeat_n(value, times));
    }
    let (front, back) = lengths.split_at(literals);
    Ok((Huffman::new(front), Huffman::new(&back[..distances])))
}

fn block(input: &mut Bits<'_>, out: &mut Vec<u8>, literals: &Huffman, distances: &Huffman) -> Result<(), String> {
    const BASES: [usize; 29] = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ];
    loop {
        let symbol = literals.decode(input)?;
        match symbol {
            0..256 => out.push(symbol as u8),
            256 => return Ok(()),
            _ => {
                let at = symbol - 257;
                let base = *BASES.get(at).ok_or("it holds a length of no known kind")?;
                let more = if (8..28).contains(&at) { at / 4 - 1 } else { 0 };
                let length = base + input.take(more)?;
                let symbol = distances.decode(input)?;
                let more = if symbol < 4 { 0 } else { symbol / 2 - 1 };
                let base = if symbol < 4 { symbol + 1 } else { 1 + ((2 + symbol % 2) << more) };
                let distance = base + input.take(more)?;
                let from = out.len().checked_sub(distance).ok_or("it copies from before its beginning")?;
                (from..from + length).for_each(|at| out.push(out[at]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "hello hello hello hello\n", as gzip packs it: one block with the fixed codes.
    const FIXED: [u8; 29] = [
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x40, 0x27, 0xb9, 0, 0, 0x88,
        0x59, 0x0b, 0x18, 0, 0, 0,
    ];

    /// 900 letters by a formula, packed: one block with codes of its own.
    const DYNAMIC: [u8; 59] = [
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xca, 0xb7, 0x01, 0x00, 0x30, 0x08, 0x03,
        0xb0, 0x5b, 0x0d, 0xa6, 0x99, 0xff, 0xf7, 0x5c, 0x91, 0x0d, 0xcd, 0x02, 0x5c, 0x3b, 0x15, 0x69, 0x64, 0x94,
        0xd1, 0x34, 0x8a, 0xee, 0xde, 0xac, 0x74, 0xf8, 0x2c, 0x2e, 0x5c, 0xb8, 0xf0, 0x33, 0x3c, 0xa6, 0x07, 0x4a,
        0x62, 0x84, 0x03, 0x00, 0x00,
    ];

    #[test]
    fn unpacks_every_kind_of_block() {
        let mut stored = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3, b'n', 0, 1, 3, 0, 0xfc, 0xff];
        stored.extend(b"abc");
        stored.extend(crc32fast::hash(b"abc").to_le_bytes());
        stored.extend([3, 0, 0, 0]);
        assert_eq!(gunzip(&stored).unwrap(), b"abc");
        assert_eq!(gunzip(&FIXED).unwrap(), b"hello hello hello hello\n");
        let letters: Vec<u8> = (0..900u32).map(|i| 97 + (i * i * i / 3 % 11) as u8).collect();
        assert_eq!(gunzip(&DYNAMIC).unwrap(), letters);
    }

    #[test]
    fn refuses_what_is_damaged() {
        assert!(gunzip(b"").is_err());
        assert!(gunzip(b"not gzip at all").is_err());
        for end in 0..FIXED.len() - 4 {
            assert!(gunzip(&FIXED[..end]).is_err(), "cut at {end}");
        }
        for at in 10..DYNAMIC.len() - 4 {
            let mut bytes = DYNAMIC;
            bytes[at] ^= 4;
            assert!(gunzip(&bytes).is_err(), "byte {at}");
        }
    }
}

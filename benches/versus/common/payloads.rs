//! What is sent.

/// A masking key for each frame.
pub fn key(number: u32) -> [u8; 4] {
    (number + 1).wrapping_mul(0x9e37_79b1).to_ne_bytes()
}

pub fn ascii(len: usize) -> Vec<u8> {
    b"The quick brown fox jumps over the lazy dog. ".iter().copied().cycle().take(len).collect()
}

/// Text of two, three and four-byte characters, of about `len` bytes.
pub fn multibyte(len: usize) -> Vec<u8> {
    let mut text = "Съешь же ещё этих мягких французских булок, 敏捷的棕色狐狸 🦊 ".repeat(1 + len / 100);
    while text.len() > len {
        text.pop();
    }
    text.into_bytes()
}

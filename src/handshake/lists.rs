//! The lists in header values: tokens (RFC 9110 §5.6.1) and extensions (RFC 6455 §9.1).
//!
//! They are read where they lie. An element costs no memory, and each byte is looked at a fixed number of times.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

/// Whether this is a token (RFC 9110 §5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

/// Whether a comma-separated list contains this word, in any case.
pub(crate) fn contains_word(list: &[u8], word: &str) -> bool {
    list.split(|&byte| byte == b',').any(|element| super::headers::trim(element).eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether this is a list of one token or more. Empty elements are allowed (RFC 9110 §5.6.1.2).
pub(crate) fn is_token_list(list: &str) -> bool {
    let mut elements = list.split(',').map(trim).filter(|element| !element.is_empty()).peekable();
    elements.peek().is_some() && elements.all(is_token)
}

/// Whether this is a list of one extension or more.
pub(crate) fn is_extension_list(list: &str) -> bool {
    let mut count = 0;
    let mut cursor = Cursor(list);
    while let Some(found) = cursor.extension() {
        if found.is_err() {
            return false;
        }
        count += 1;
    }
    count > 0
}

/// The elements of a list of tokens, in their order.
#[derive(Clone)]
pub struct Tokens<'a>(core::str::Split<'a, char>);

impl<'a> Tokens<'a> {
    pub(crate) fn new(list: &'a str) -> Self {
        Self(list.split(','))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.by_ref().map(trim).find(|token| !token.is_empty())
    }
}

impl fmt::Debug for Tokens<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The extensions of a `Sec-WebSocket-Extensions` header, in their order (RFC 6455 §9.1).
#[derive(Clone)]
pub struct Extensions<'a>(Cursor<'a>);

impl<'a> Extensions<'a> {
    pub(crate) fn new(list: &'a str) -> Self {
        Self(Cursor(list))
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Extension<'a>;

    fn next(&mut self) -> Option<Extension<'a>> {
        self.0.extension()?.ok()
    }
}

impl fmt::Debug for Extensions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// One extension with its parameters, as it was offered or accepted (RFC 6455 §9.1).
#[derive(Clone)]
pub struct Extension<'a> {
    name: &'a str,
    params: &'a str,
}

impl<'a> Extension<'a> {
    /// The registered name, in the case in which it came.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// The parameters in their order, repeated ones included.
    pub fn params(&self) -> Params<'a> {
        Params(Cursor(self.params))
    }
}

impl fmt::Debug for Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extension").field("name", &self.name).field("params", &self.params()).finish()
    }
}

/// The parameters of an [`Extension`]: each a name and, if it has one, a value. A quoted value means the same as a plain
/// one.
#[derive(Clone)]
pub struct Params<'a>(Cursor<'a>);

impl<'a> Iterator for Params<'a> {
    type Item = (&'a str, Option<Cow<'a, str>>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.param()?.ok()
    }
}

impl fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// What is left of a list. Each method takes one piece of the grammar from its front.
#[derive(Clone)]
struct Cursor<'a>(&'a str);

/// A name and, if it has one, a value.
type Param<'a> = (&'a str, Option<Cow<'a, str>>);

/// The text does not follow the grammar.
struct Malformed;

impl<'a> Cursor<'a> {
    /// `*( OWS "," ) OWS extension`, or nothing at the end of the list.
    fn extension(&mut self) -> Option<Result<Extension<'a>, Malformed>> {
        self.skip_space();
        while self.eat(b',') {
            self.skip_space();
        }
        (!self.0.is_empty()).then(|| self.extension_element())
    }

    fn extension_element(&mut self) -> Result<Extension<'a>, Malformed> {
        let name = self.token().ok_or(Malformed)?;
        let before = self.0;
        while let Some(param) = self.param() {
            param?;
        }
        let used = before.len() - self.0.len();
        self.skip_space();
        if !self.0.is_empty() && !self.eat(b',') {
            return Err(Malformed);
        }
        Ok(Extension { name, params: before.get(..used).unwrap_or_default() })
    }

    /// `OWS ";" OWS token [ "=" ( token | quoted-string ) ]`, or nothing if no semicolon is next.
    fn param(&mut self) -> Option<Result<Param<'a>, Malformed>> {
        let mut ahead = self.clone();
        ahead.skip_space();
        if !ahead.eat(b';') {
            return None;
        }
        *self = ahead;
        self.skip_space();
        Some(self.name_and_value())
    }

    fn name_and_value(&mut self) -> Result<Param<'a>, Malformed> {
        let name = self.token().ok_or(Malformed)?;
        let mut ahead = self.clone();
        ahead.skip_space();
        if !ahead.eat(b'=') {
            return Ok((name, None));
        }
        *self = ahead;
        self.skip_space();
        let value = if self.eat(b'"') { self.quoted()? } else { self.token().map(Cow::Borrowed).ok_or(Malformed)? };
        Ok((name, Some(value)))
    }

    /// The rest of a quoted string. §9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF".
    fn quoted(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let plain = self.token().unwrap_or_default();
        if self.eat(b'"') {
            return if plain.is_empty() { Err(Malformed) } else { Ok(Cow::Borrowed(plain)) };
        }
        let mut value = String::from(plain);
        while !self.eat(b'"') {
            let is_escaped = self.eat(b'\\');
            let next = self.0.chars().next().filter(|&next| next.is_ascii() && is_token_byte(next as u8));
            value.push(next.ok_or(Malformed)?);
            self.0 = self.0.get(1..).unwrap_or_default();
            if !is_escaped {
                value.push_str(self.token().unwrap_or_default());
            }
        }
        if value.is_empty() { Err(Malformed) } else { Ok(Cow::Owned(value)) }
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.0.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(self.0.len());
        #[cfg(test)]
        tests::look_at(end + 1);
        let (token, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    fn eat(&mut self, byte: u8) -> bool {
        #[cfg(test)]
        tests::look_at(1);
        let rest = self.0.strip_prefix(byte as char);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn skip_space(&mut self) {
        let rest = self.0.trim_start_matches([' ', '\t']);
        #[cfg(test)]
        tests::look_at(self.0.len() - rest.len() + 1);
        self.0 = rest;
    }
}

fn trim(element: &str) -> &str {
    element.trim_matches([' ', '\t'])
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    /// How many bytes were looked at, by the one test here.
    static LOOKED_AT: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn look_at(bytes: usize) {
        LOOKED_AT.fetch_add(bytes, Relaxed);
    }

    /// C1: the work on a list is a fixed number of looks at each byte, to check it and to read it.
    #[test]
    fn c1_lists_are_read_in_linear_steps() {
        for piece in [",", "a,", " , ", "a;b;", "a ; b = c ,", "a;b=\"\\c\",", "a;b=\"", "\\c", "a \t \t", "a;b   "] {
            for head in ["", "x;y=\"", "x;y"] {
                for count in [1_000, 2_000] {
                    let list = String::from(head) + &piece.repeat(count);
                    LOOKED_AT.store(0, Relaxed);
                    let _ = is_extension_list(&list);
                    Extensions::new(&list).for_each(|extension| extension.params().for_each(drop));
                    assert!(LOOKED_AT.load(Relaxed) <= 24 * list.len() + 24, "{piece} behind {head}");
                }
            }
        }
    }
}

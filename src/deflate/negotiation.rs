//! The negotiation of permessage-deflate (RFC 7692 §5.1, §7.1): a client's offer, a server's answer, and what the
//! client makes of it.

use alloc::format;
use alloc::string::{String, ToString};
use core::mem;

use super::{
    CLIENT_MAX_WINDOW_BITS, CLIENT_NO_CONTEXT_TAKEOVER, Deflate, NAME, Parameters, SERVER_MAX_WINDOW_BITS,
    SERVER_NO_CONTEXT_TAKEOVER, WindowBits,
};
use crate::handshake::{Extension, Extensions, HandshakeError, ParametersError, is_extension_list, shown};

/// For those who do the handshake themselves, from and to the values of `Sec-WebSocket-Extensions`. Several lines of it
/// are one list, joined by commas.
///
/// ```
/// use sockeye::deflate::Parameters;
/// use sockeye::{Agreed, Config, Connection, Deflate, Role};
///
/// let deflate = Deflate::DEFAULT;
/// let (answer, parameters) = deflate.answer("permessage-deflate; client_max_window_bits").expect("acceptable");
/// assert_eq!(answer, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
/// let agreed = Agreed::default().with_deflate(parameters);
/// let connection = Connection::open(Role::Server, agreed, &Config::DEFAULT.deflate(Some(deflate)));
/// ```
impl Deflate {
    /// What a client offers (RFC 7692 §5).
    pub fn offer(&self) -> String {
        offer(&self.parameters)
    }

    /// A server's answer to the first offer that it can accept, and what is agreed on with it; `None` if there is none, or
    /// the list is malformed.
    pub fn answer(&self, offers: &str) -> Option<(String, Parameters)> {
        is_extension_list(offers).then(|| answer(&self.parameters, Extensions::new(offers)))?
    }

    /// What a client has agreed on with a server that answers its [`offer`](Self::offer) so.
    ///
    /// # Errors
    /// The answer is malformed or does not fit the offer: fail the connection (RFC 7692 §5.1).
    pub fn verify(&self, answer: &str) -> Result<Parameters, HandshakeError> {
        if !is_extension_list(answer) {
            return Err(HandshakeError::InvalidHeader("Sec-WebSocket-Extensions"));
        }
        verify(Some(&self.parameters), Extensions::new(answer))
    }
}

/// What a client offers, as the value of its header. That the server may limit the client's window is always said.
pub(crate) fn offer(wishes: &Parameters) -> String {
    if wishes.client_max_window_bits < WindowBits::MAX {
        wishes.to_string()
    } else {
        format!("{wishes}; {CLIENT_MAX_WINDOW_BITS}")
    }
}

/// A server's answer to the first offer that it can accept, as the value of its header, and what is agreed on with it.
/// Any other offer is declined (§7.1).
pub(crate) fn answer(wishes: &Parameters, offers: Extensions<'_>) -> Option<(String, Parameters)> {
    offers.filter(|offer| offer.name() == NAME).find_map(|offer| accept(wishes, &Element::read(&offer).ok()?))
}

fn accept(wishes: &Parameters, offer: &Element) -> Option<(String, Parameters)> {
    let asked = offer.server_max_window_bits;
    // No common compressor can keep to a window of 8 bits. A client that asks for it is declined; a server that is
    // configured so gets 9.
    if asked == Some(WindowBits::Bits8) {
        return None;
    }
    let server_max_window_bits = asked.unwrap_or(WindowBits::MAX).min(wishes.server_max_window_bits);
    let client_max_window_bits = match offer.client_max_window_bits {
        Some(limit) => limit.unwrap_or(WindowBits::MAX).min(wishes.client_max_window_bits),
        None => WindowBits::MAX, // §7.1.2.2: this client cannot be limited
    };
    let agreed = Parameters {
        server_no_context_takeover: offer.server_no_context_takeover || wishes.server_no_context_takeover,
        // As a hint this needs no answer (§7.1.1.2). With one, this end can forget its window too.
        client_no_context_takeover: offer.client_no_context_takeover || wishes.client_no_context_takeover,
        server_max_window_bits: server_max_window_bits.max(WindowBits::Bits9),
        client_max_window_bits,
    };
    // §7.1.2.1: a window that was asked for is answered, even if it is the largest.
    let is_full = asked.is_some() && agreed.server_max_window_bits == WindowBits::MAX;
    let answer = if is_full { format!("{agreed}; {SERVER_MAX_WINDOW_BITS}=15") } else { agreed.to_string() };
    Some((answer, agreed))
}

/// What a client that offered these wishes, or nothing, agrees on with a server's answer.
pub(crate) fn verify(wishes: Option<&Parameters>, answer: Extensions<'_>) -> Result<Parameters, HandshakeError> {
    let wishes = wishes.ok_or(HandshakeError::UnofferedExtension)?;
    if answer.clone().any(|extension| extension.name() != NAME) {
        return Err(HandshakeError::UnofferedExtension);
    }
    let mut elements = answer;
    match (elements.next(), elements.next()) {
        (Some(only), None) => Ok(agree(wishes, &Element::read(&only)?)?),
        _ => Err(ParametersError::RepeatedExtension.into()),
    }
}

fn agree(wishes: &Parameters, answer: &Element) -> Result<Parameters, ParametersError> {
    if wishes.server_no_context_takeover && !answer.server_no_context_takeover {
        return Err(ParametersError::Missing(SERVER_NO_CONTEXT_TAKEOVER));
    }
    let server_max_window_bits = match answer.server_max_window_bits {
        Some(bits) if bits > wishes.server_max_window_bits => {
            return Err(ParametersError::TooLarge(SERVER_MAX_WINDOW_BITS));
        }
        Some(bits) => bits,
        None if wishes.server_max_window_bits < WindowBits::MAX => {
            return Err(ParametersError::Missing(SERVER_MAX_WINDOW_BITS));
        }
        None => WindowBits::MAX,
    };
    let client_max_window_bits = match answer.client_max_window_bits {
        Some(None) => return Err(ParametersError::InvalidValue(CLIENT_MAX_WINDOW_BITS)),
        Some(Some(bits)) if bits > wishes.client_max_window_bits => {
            return Err(ParametersError::TooLarge(CLIENT_MAX_WINDOW_BITS));
        }
        Some(Some(bits)) => bits,
        None => wishes.client_max_window_bits, // §7.1.2.2: the offer binds this end even so
    };
    Ok(Parameters {
        server_no_context_takeover: answer.server_no_context_takeover,
        client_no_context_takeover: answer.client_no_context_takeover || wishes.client_no_context_takeover,
        server_max_window_bits,
        client_max_window_bits,
    })
}

/// The parameters of an offer or an answer, each in order by itself (§7.1).
#[derive(Default)]
struct Element {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<WindowBits>,
    /// `Some(None)` is without a value, as in offers only.
    client_max_window_bits: Option<Option<WindowBits>>,
}

impl Element {
    fn read(extension: &Extension<'_>) -> Result<Self, ParametersError> {
        let mut element = Self::default();
        extension.params().try_for_each(|(name, value)| element.set(name, value.as_deref()))?;
        Ok(element)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), ParametersError> {
        let known = PARAMETERS.into_iter().find(|known| *known == name);
        let name = known.ok_or_else(|| ParametersError::Unknown(shown(name.as_bytes())))?;
        let is_repeated = match (name, value.map(window_bits)) {
            (SERVER_NO_CONTEXT_TAKEOVER, None) => mem::replace(&mut self.server_no_context_takeover, true),
            (CLIENT_NO_CONTEXT_TAKEOVER, None) => mem::replace(&mut self.client_no_context_takeover, true),
            (SERVER_MAX_WINDOW_BITS, Some(Some(bits))) => self.server_max_window_bits.replace(bits).is_some(),
            (CLIENT_MAX_WINDOW_BITS, None) => self.client_max_window_bits.replace(None).is_some(),
            (CLIENT_MAX_WINDOW_BITS, Some(Some(bits))) => self.client_max_window_bits.replace(Some(bits)).is_some(),
            _ => return Err(ParametersError::InvalidValue(name)),
        };
        if is_repeated { Err(ParametersError::Repeated(name)) } else { Ok(()) }
    }
}

/// §7.1.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
fn window_bits(value: &str) -> Option<WindowBits> {
    let bits = match value.as_bytes() {
        [digit @ b'8'..=b'9'] => digit - b'0',
        [b'1', digit @ b'0'..=b'5'] => 10 + (digit - b'0'),
        _ => return None,
    };
    WindowBits::from_bits(bits)
}

const PARAMETERS: [&str; 4] =
    [SERVER_NO_CONTEXT_TAKEOVER, CLIENT_NO_CONTEXT_TAKEOVER, SERVER_MAX_WINDOW_BITS, CLIENT_MAX_WINDOW_BITS];

//! The bytes that the client and the servers exchange.
//!
//! The client writes its commands in one form only, so that the floors find their parts easily. The frames of the
//! floors have the same form and size as those of chatcore.

use std::io::Write;
use std::ops::Range;

/// The text of the standard message.
pub(crate) const TEXT: &str = "hello, world";

/// The sizes of a load with only this text.
pub(crate) const STANDARD: &[usize] = &[TEXT.len()];

/// The start of a `message` event, up to the number of its channel.
pub(crate) const MESSAGE: &[u8] = br#"{"type":"message","channel":"c"#;
pub(crate) const OK: &[u8] = br#"{"type":"ok","#;

const PUBLISH: &[u8] = br#"{"type":"publish","id":1,"channel":"c"#;
const SUBSCRIBE: &[u8] = br#"{"type":"subscribe","id":1,"channel":"c"#;
const NONCE: &[u8] = br#"","nonce":""#;
const NONCE_DIGITS: usize = 12;
const TEXT_FIELD: &[u8] = br#"","text":""#;

/// The field before a message's `seq`, as long as chatcore's: the floors compute no check.
pub(crate) const CHECK: &[u8] = br#"","check":""#;
pub(crate) const CHECK_DIGITS: usize = 8;

/// What is between the check and the `seq`.
pub(crate) const SEQ: &[u8] = br#"","seq":"#;

/// A time in chatcore's format: the floors read no clock.
const AT: &str = "2026-01-01T00:00:00.000Z";

/// Returns the WebSocket request of `user`.
pub(crate) fn upgrade_request(user: &str) -> String {
    format!(
        "GET /ws?user={user} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: chatcore.v1.lean\r\n\r\n"
    )
}

/// Returns the user in the query of a request.
pub(crate) fn user_of(query: &str) -> Option<&str> {
    query.split('&').find_map(|pair| pair.strip_prefix("user="))
}

/// Adds a client's text frame. Its mask is zero, so the payload is unchanged.
fn push_masked(out: &mut Vec<u8>, payload: &[u8]) {
    push_header(out, payload.len(), 0x80);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

fn push_header(out: &mut Vec<u8>, len: usize, mask_bit: u8) {
    out.push(0x81);
    match len {
        0..=125 => out.push(mask_bit | len as u8),
        126..=0xffff => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// Returns the sizes of a header and its payload, once enough of the header has arrived.
pub(crate) fn frame_size(bytes: &[u8]) -> Option<(usize, u64)> {
    let &[_, second, ..] = bytes else { return None };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    match second & 0x7f {
        126 => Some((4 + mask, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)))),
        127 => Some((10 + mask, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?))),
        len => Some((2 + mask, u64::from(len))),
    }
}

/// Parses the decimal number at the start of `bytes`, and returns the rest too.
pub(crate) fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = bytes.split_at(digits);
    let number = number.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    (digits > 0).then_some((number, rest))
}

/// Returns the frame that subscribes to a channel.
pub(crate) fn subscribe(channel: usize) -> Vec<u8> {
    let mut out = Vec::new();
    push_masked(&mut out, &[SUBSCRIBE, format!(r#"{channel}","limit":100}}"#).as_bytes()].concat());
    out
}

/// Returns the frame that ends a subscription.
pub(crate) fn unsubscribe(channel: usize) -> Vec<u8> {
    let mut out = Vec::new();
    push_masked(&mut out, format!(r#"{{"type":"unsubscribe","id":1,"channel":"c{channel}"}}"#).as_bytes());
    out
}

/// Returns a command without effect, of at least `bytes` bytes.
pub(crate) fn ping(bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    push_masked(
        &mut out,
        format!(r#"{{"type":"ping","id":1,"padding":"{}"}}"#, "x".repeat(bytes)).as_bytes(),
    );
    out
}

/// Publishes that are written at once, prepared before the measurement; only their nonces change.
pub(crate) struct Window {
    bytes: Vec<u8>,
    nonces: Vec<usize>,
}

impl Window {
    /// Makes a window with one message to each of `channels`, with texts of `sizes` bytes in turn.
    pub(crate) fn new(channels: impl Iterator<Item = usize>, sizes: &[usize]) -> Self {
        let mut window = Self { bytes: Vec::new(), nonces: Vec::new() };
        for (channel, &size) in channels.zip(sizes.iter().cycle()) {
            let text: String = TEXT.chars().cycle().take(size).collect();
            let head = [PUBLISH, channel.to_string().as_bytes(), NONCE].concat();
            let payload = [&head[..], &[b'0'; NONCE_DIGITS], TEXT_FIELD, text.as_bytes(), br#""}"#].concat();
            push_masked(&mut window.bytes, &payload);
            window.nonces.push(window.bytes.len() - payload.len() + head.len());
        }
        window
    }

    pub(crate) fn len(&self) -> usize {
        self.nonces.len()
    }

    /// Gives each message a new nonce, and returns the frames.
    pub(crate) fn renew(&mut self, last: &mut u64) -> &[u8] {
        for &at in &self.nonces {
            *last += 1;
            let mut rest = *last;
            for digit in self.bytes[at..at + NONCE_DIGITS].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        &self.bytes
    }
}

/// A client's command, as the floors read it.
#[derive(Debug)]
pub(crate) enum Command<'a> {
    Subscribe { channel: usize },
    Publish { channel: usize, text: &'a [u8] },
    Other,
}

impl<'a> Command<'a> {
    pub(crate) fn parse(payload: &'a [u8]) -> Self {
        if let Some(rest) = payload.strip_prefix(PUBLISH) {
            return Self::parse_publish(rest).expect("the client writes a publish in one form");
        }
        match payload.strip_prefix(SUBSCRIBE).and_then(number) {
            Some((channel, _)) => Self::Subscribe { channel: channel as usize },
            None => Self::Other,
        }
    }

    fn parse_publish(rest: &'a [u8]) -> Option<Self> {
        let (channel, rest) = number(rest)?;
        let (_, rest) = rest.strip_prefix(NONCE)?.split_at_checked(NONCE_DIGITS)?;
        let text = rest.strip_prefix(TEXT_FIELD)?.strip_suffix(br#""}"#)?;
        Some(Self::Publish { channel: channel as usize, text })
    }
}

/// Unmasks the client's frame at the start of `bytes`, if it is complete, and returns the range of its payload.
pub(crate) fn unmask_frame(bytes: &mut [u8]) -> Option<Range<usize>> {
    let (header, len) = frame_size(bytes)?;
    let end = header + usize::try_from(len).ok()?;
    let (header, payload) = bytes.get_mut(..end)?.split_at_mut(header);
    let mask: [u8; 4] = header[header.len() - 4..].try_into().ok()?;
    for chunk in payload.chunks_mut(4) {
        chunk.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
    Some(header.len()..end)
}

/// A message as chatcore writes it in its lean form for those who have not written it.
pub(crate) struct Message<'a> {
    pub(crate) channel: usize,
    pub(crate) seq: u64,
    pub(crate) user: &'a str,
    pub(crate) text: &'a [u8],
}

impl Message<'_> {
    /// Adds the frame of its event.
    pub(crate) fn push_event(&self, out: &mut Vec<u8>) {
        let start = out.len();
        // The header of a frame of 126 to 65,535 bytes, as all of these are, has 4 bytes.
        out.extend_from_slice(&[0x81, 126, 0, 0]);
        out.extend_from_slice(MESSAGE);
        write!(out, "{}", self.channel).unwrap();
        out.extend_from_slice(CHECK);
        out.extend_from_slice(&[b'0'; CHECK_DIGITS]);
        out.extend_from_slice(br#"","#);
        self.push_fields(out);
        let len = u16::try_from(out.len() - start - 4).expect("a message is shorter than 64 KiB");
        out[start + 2..start + 4].copy_from_slice(&len.to_be_bytes());
    }

    fn push_fields(&self, out: &mut Vec<u8>) {
        let Self { seq, user, .. } = self;
        write!(out, r#""seq":{seq},"author":{{"id":"{user}","name":"{user}"}},"at":"{AT}","text":""#)
            .unwrap();
        out.extend_from_slice(self.text);
        out.extend_from_slice(br#""}"#);
    }

    /// Adds the frame of the response to its publish.
    pub(crate) fn push_ok(&self, out: &mut Vec<u8>) {
        let Self { channel, seq, .. } = self;
        let ok = format!(
            r#"{{"type":"ok","id":1,"channel":"c{channel}","seq":{seq},"at":"{AT}","duplicate":false}}"#
        );
        push_header(out, ok.len(), 0);
        out.extend_from_slice(ok.as_bytes());
    }

    /// Returns the frame of the response to a subscribe that finds `count` messages like this one.
    pub(crate) fn snapshot(&self, count: u64) -> Vec<u8> {
        let mut payload = Vec::new();
        let Self { channel, seq, .. } = self;
        write!(payload, r#"{{"type":"ok","id":1,"channel":"c{channel}","epoch":"{:032x}","head":{seq},"reset":true,"messages":["#, 1)
            .unwrap();
        for n in 0..count {
            payload.extend_from_slice(if n == 0 { b"{" } else { b",{" });
            Message { seq: seq + 1 - count + n, ..*self }.push_fields(&mut payload);
        }
        payload.extend_from_slice(br#"],"members":[]}"#);
        let mut out = Vec::new();
        push_header(&mut out, payload.len(), 0);
        out.extend_from_slice(&payload);
        out
    }
}

/// Adds the frame of an empty response.
pub(crate) fn push_done(out: &mut Vec<u8>) {
    let ok = br#"{"type":"ok","id":1}"#;
    push_header(out, ok.len(), 0);
    out.extend_from_slice(ok);
}

/// Returns the response to a WebSocket request, and its user, once the request is complete.
pub(crate) fn accept(request: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(request).ok()?.strip_suffix("\r\n\r\n")?;
    let (_, query) = text.lines().next()?.split(' ').nth(1)?.split_once('?')?;
    let key = text.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
    let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Protocol: chatcore.v1.lean\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    Some((answer, user_of(query)?.to_owned()))
}

//! Names of channels and of people, codes of links and user agents.

use chatcore::ChannelName;

use super::outcome;

pub(super) const WORDS: &[&str] = &[
    "general",
    "Général",
    "\u{301}",
    "\u{200d}",
    "\u{200b}",
    "\u{202e}",
    "\u{3164}",
    "İ",
    "ß",
    "ſ",
    "Å",
    "ﬁ",
    "नमस्ते",
    "한국",
    "#",
    ".",
    "..",
    "-",
    "_",
    " ",
    "\t",
    "\u{a0}",
    "\u{2028}",
    "👩‍👩‍👧",
    "\u{e0001}",
    "\u{fe0f}",
    "0123-4567-89AB-CDEF-GHJK-MNPQ-RSTV",
    "OIL",
    "Firefox/",
    "iPhone",
];

/// An accepted name is accepted again unchanged, is within its length limit, and is visible.
pub(super) fn run(input: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(input);
    let channel = ChannelName::new(&text);
    if let Ok(name) = &channel {
        assert_eq!(ChannelName::new(name.as_str()).as_ref(), Ok(name), "{text:?}");
        let chars = name.as_str().chars().count();
        assert!((1..=ChannelName::MAX_CHARS).contains(&chars), "{text:?} has {chars} characters");
        assert!(!name.as_str().chars().any(|c| c.is_control() || c.is_whitespace() || c == '/'), "{name:?}");
    }
    let person = web_chat::testkit::display_name(&text);
    if let Some((name, keys)) = &person {
        assert_eq!(
            web_chat::testkit::display_name(name).as_ref(),
            Some(&(name.clone(), keys.clone())),
            "{text:?}"
        );
        assert!(!name.trim().is_empty() && !keys.is_empty(), "{text:?}");
        assert!(!name.chars().any(char::is_control), "{name:?}");
    }
    let code = web_chat::testkit::code(&text);
    if let Some(code) = &code {
        assert_eq!(web_chat::testkit::code(code).as_ref(), Some(code), "{text:?}");
        assert_eq!(code.len(), 34, "{text:?}");
    }
    let device = web_chat::testkit::device(&text);
    assert!((1..=40).contains(&device.len()) && device.is_ascii(), "{text:?}: {device}");
    let length = channel.as_ref().map_or(0, |name| name.as_str().len());
    outcome((
        channel.map(|_| ()).map_err(|error| std::mem::discriminant(&error)),
        length / 8,
        person.is_some(),
        code.is_some(),
        device,
    ))
}

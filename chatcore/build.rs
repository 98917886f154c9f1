//! Writes the tables of Unicode's data that `src/model/emoji.rs` and `src/model/visible.rs` include.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    write_emoji(&out)?;
    write_visible(&out)
}

fn write_emoji(out: &Path) -> io::Result<()> {
    let toned = emojis::iter().filter_map(emojis::Emoji::skin_tones).flatten();
    let mut all: Vec<&str> = emojis::iter().chain(toned).map(emojis::Emoji::as_str).collect();
    all.sort_by(|a, b| signs(a).cmp(signs(b)));
    all.dedup();
    fs::write(out.join("emoji.rs"), format!("static ALL: &[&str] = &{all:?};\n"))
}

/// Leaves out what only asks for a colourful picture, as `src/model/emoji.rs` does.
fn signs(emoji: &str) -> impl Iterator<Item = char> + '_ {
    emoji.chars().filter(|c| *c != '\u{fe0f}')
}

/// Writes which characters show nothing, and which others look like another. Both are what UTS 39's skeleton does to a
/// character: it leaves the first out, and has a prototype for the second. ASCII stands for itself here.
fn write_visible(out: &Path) -> io::Result<()> {
    let mut ignorable: Vec<(char, char)> = Vec::new();
    let mut prototypes = Vec::new();
    // No other plane has characters with either property.
    for c in ('\u{80}'..='\u{3ffff}').chain('\u{e0000}'..='\u{e0fff}') {
        let text = c.to_string();
        let seen: String = skeleton(&text).collect();
        if seen.is_empty() {
            match ignorable.last_mut() {
                Some((_, last)) if u32::from(*last) + 1 == u32::from(c) => *last = c,
                _ => ignorable.push((c, c)),
            }
        } else if text.nfkd().eq(text.chars()) && seen != text {
            prototypes.push((c, seen));
        }
    }
    let ignorable = format!("static IGNORABLE: &[(char, char)] = &{ignorable:?};\n");
    let prototypes = format!("static PROTOTYPES: &[(char, &str)] = &{prototypes:?};\n");
    fs::write(out.join("visible.rs"), ignorable + &prototypes)
}

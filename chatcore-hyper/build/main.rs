//! Generates a table of the files in `ui/` that the crate embeds, so that no new file is forgotten. Modules and
//! styles are embedded without comments and white space, and once more as a single file each. The names of emoji
//! are generated here. Each file is embedded plain and compressed.

mod bundle;
mod emoji;
mod locals;
mod names;
mod strip;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The files that every page requests. They are compressed as well as possible.
const REQUESTED: [&str; 3] = ["chat.js", "chat.css", "emoji.json"];

/// The best quality of brotli.
const BEST: u32 = 11;

/// The quality for all other files: 8 % larger than with the best one. A build in which the compressor is not optimised
/// takes half a second for them instead of 13.
const FAST: u32 = 5;

fn main() -> io::Result<()> {
    let missing = |name: &str| io::Error::other(format!("cargo sets {name}"));
    let folder =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| missing("CARGO_MANIFEST_DIR"))?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| missing("OUT_DIR"))?);
    println!("cargo::rerun-if-changed=ui");
    println!("cargo::rerun-if-changed=build");

    let mut files = BTreeMap::new();
    read_folder(&folder.join("ui"), "", &mut files)?;
    let sources: bundle::Sources = files
        .iter()
        .filter_map(|(name, bytes)| Some((name.clone(), String::from_utf8(bytes.clone()).ok()?)))
        .collect();

    for (name, bytes) in &mut files {
        if let (Some(syntax), Some(source)) = (syntax_of(name), sources.get(name)) {
            let stripped = strip::strip(source, syntax);
            *bytes = stripped.map_err(|(line, why)| refused(&format!("{name}:{line}: {why}")))?.into_bytes();
        }
    }
    let (script, style) = ("chat.js", "chat.css");
    let entries = [script, style].map(|name| (name.to_owned(), files.remove(name).unwrap_or_default()));
    files.insert(
        script.to_owned(),
        bundle::modules(&sources, script).map_err(|why| refused(&why))?.into_bytes(),
    );
    files
        .insert(style.to_owned(), bundle::styles(&sources, style).map_err(|why| refused(&why))?.into_bytes());
    files.insert("emoji.json".to_owned(), emoji::names().into_bytes());
    fs::write(out.join("ui_files.rs"), table(&emptied(out.join("ui"))?, files)?)?;
    fs::write(out.join("ui_entries.rs"), table(&emptied(out.join("ui_entries"))?, entries)?)
}

/// Compresses a file, with a window of 1 MiB.
fn brotli(bytes: &[u8], quality: u32) -> io::Result<Vec<u8>> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 4 << 10, quality, 20);
    writer.write_all(bytes)?;
    Ok(writer.into_inner())
}

/// Reads the files of a folder and of all folders in it, by their paths after `prefix`.
fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = format!("{prefix}{}", name.ok_or_else(|| io::Error::other("UTF-8 names"))?);
        if path.is_dir() {
            read_folder(&path, &format!("{name}/"), files)?;
        } else {
            files.insert(name, fs::read(path)?);
        }
    }
    Ok(())
}

/// Creates the folder, or empties an existing one.
fn emptied(folder: PathBuf) -> io::Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir(&folder)?;
    Ok(folder)
}

fn syntax_of(name: &str) -> Option<strip::Syntax> {
    match name.rsplit_once('.') {
        Some((_, "js")) => Some(strip::Syntax::JavaScript),
        Some((_, "css")) => Some(strip::Syntax::Css),
        _ => None,
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::other(format!("ui/{why}"))
}

/// Writes files into a folder, each plain and compressed, and returns the table that embeds them.
fn table(folder: &Path, files: impl IntoIterator<Item = (String, Vec<u8>)>) -> io::Result<String> {
    let mut table = String::from("&[\n");
    for (name, bytes) in files {
        let (plain, compressed) = (folder.join(&name), folder.join(format!("{name}.br")));
        plain.parent().map_or(Ok(()), fs::create_dir_all)?;
        let quality = if REQUESTED.contains(&&*name) { BEST } else { FAST };
        fs::write(&compressed, brotli(&bytes, quality)?)?;
        fs::write(&plain, bytes)?;
        writeln!(table, "    ({name:?}, include_bytes!({plain:?}), include_bytes!({compressed:?})),")
            .map_err(io::Error::other)?;
    }
    table.push_str("]\n");
    Ok(table)
}

//! Lists the files of `ui/` into a table that the crate embeds, so that a new file can't be forgotten. Modules
//! and styles go in without comments and white space, and all of them once more as one file each; the names of
//! emoji are made here.

mod bundle;
mod emoji;
mod strip;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let missing = |name: &str| io::Error::other(format!("cargo sets {name}"));
    let folder =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| missing("CARGO_MANIFEST_DIR"))?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| missing("OUT_DIR"))?);
    println!("cargo::rerun-if-changed=ui");
    println!("cargo::rerun-if-changed=build");

    let files = fs::read_dir(folder.join("ui"))?
        .map(|entry| read(&entry?.path()))
        .collect::<io::Result<BTreeMap<String, Vec<u8>>>>()?;
    let sources: bundle::Sources = files
        .iter()
        .filter_map(|(name, bytes)| Some((name.clone(), String::from_utf8(bytes.clone()).ok()?)))
        .collect();

    let embedded = emptied(out.join("ui"))?;
    for (name, bytes) in files {
        let stripped = match syntax_of(&name) {
            Some(syntax) => {
                let source = String::from_utf8(bytes).map_err(io::Error::other)?;
                let stripped = strip::strip(&source, syntax);
                stripped.map_err(|(line, why)| refused(&format!("{name}:{line}: {why}")))?.into_bytes()
            }
            None => bytes,
        };
        fs::write(embedded.join(name), stripped)?;
    }
    let entries = emptied(out.join("ui_entries"))?;
    for entry in ["chat.js", "chat.css"] {
        fs::rename(embedded.join(entry), entries.join(entry))?;
    }
    fs::write(embedded.join("chat.js"), bundle::modules(&sources, "chat.js").map_err(|why| refused(&why))?)?;
    fs::write(embedded.join("chat.css"), bundle::styles(&sources, "chat.css").map_err(|why| refused(&why))?)?;
    fs::write(embedded.join("emoji.json"), emoji::names())?;
    fs::write(out.join("ui_files.rs"), table(&embedded)?)?;
    fs::write(out.join("ui_entries.rs"), table(&entries)?)
}

/// Returns a file's name and content.
fn read(path: &Path) -> io::Result<(String, Vec<u8>)> {
    Ok((name_of(path)?.to_owned(), fs::read(path)?))
}

fn name_of(path: &Path) -> io::Result<&str> {
    path.file_name().and_then(|name| name.to_str()).ok_or_else(|| io::Error::other("UTF-8 names"))
}

/// Returns a folder that is there and empty.
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

fn table(folder: &Path) -> io::Result<String> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    let mut table = String::from("&[\n");
    for path in &paths {
        let name = name_of(path)?;
        writeln!(table, "    ({name:?}, include_bytes!({path:?})),").map_err(io::Error::other)?;
    }
    table.push_str("]\n");
    Ok(table)
}

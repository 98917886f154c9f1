//! Lists the files of `ui/` into a table that the crate embeds, so that a new file can't be forgotten. Modules
//! and styles go in without comments and white space; the names of emoji are made here.

mod emoji;
mod strip;

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

    let embedded = out.join("ui");
    if embedded.exists() {
        fs::remove_dir_all(&embedded)?;
    }
    fs::create_dir(&embedded)?;
    for entry in fs::read_dir(folder.join("ui"))? {
        let path = entry?.path();
        if path.is_file() {
            embed(&path, &embedded)?;
        }
    }
    fs::write(embedded.join("emoji.json"), emoji::names())?;
    fs::write(out.join("ui_files.rs"), table(&embedded)?)
}

/// Copies a file to where it is embedded from.
fn embed(path: &Path, folder: &Path) -> io::Result<()> {
    let syntax = match path.extension().and_then(|ending| ending.to_str()) {
        Some("js") => Some(strip::Syntax::JavaScript),
        Some("css") => Some(strip::Syntax::Css),
        _ => None,
    };
    let mut bytes = fs::read(path)?;
    if let Some(syntax) = syntax {
        let source = String::from_utf8(bytes).map_err(io::Error::other)?;
        let stripped = strip::strip(&source, syntax);
        let failed = |(line, why)| io::Error::other(format!("{}:{line}: {why}", path.display()));
        bytes = stripped.map_err(failed)?.into_bytes();
    }
    fs::write(folder.join(path.file_name().unwrap_or_default()), bytes)
}

fn table(folder: &Path) -> io::Result<String> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    let mut table = String::from("&[\n");
    for path in &paths {
        let name =
            path.file_name().and_then(|name| name.to_str()).ok_or_else(|| io::Error::other("UTF-8 names"))?;
        writeln!(table, "    ({name:?}, include_bytes!({path:?})),").map_err(io::Error::other)?;
    }
    table.push_str("]\n");
    Ok(table)
}

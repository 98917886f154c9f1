//! Draws how cost grows, from the values of the fan-out bench: one SVG per question.
//!
//! `cargo run -p chatcore-benches --example plots -- values.tsv docs/performance`, where the bench ran with
//! `OUT=values.tsv`. Each point is the median of its runs. A point without a value is left out, and so is a plot
//! without points.
#![allow(missing_docs, clippy::unwrap_used)]

mod bars;
mod figures;
mod lines;
mod scale;
mod svg;
mod values;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use values::Values;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [values, folder] = &arguments[..] else {
        eprintln!("usage: plots <values.tsv> <folder>");
        return ExitCode::FAILURE;
    };
    let values = match fs::read_to_string(values)
        .map_err(|error| error.to_string())
        .and_then(|text| Values::read(&text))
    {
        Ok(values) => values,
        Err(error) => {
            eprintln!("{values}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let folder = Path::new(folder);
    fs::create_dir_all(folder).unwrap();
    for figure in figures::draw(&values) {
        let path = folder.join(format!("{}.svg", figure.name));
        fs::write(&path, &figure.svg).unwrap();
        println!("{}", path.display());
    }
    ExitCode::SUCCESS
}

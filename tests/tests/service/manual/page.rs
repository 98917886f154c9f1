//! The text of a page in `docs`.

/// A block of commands, with its heading.
pub(crate) struct Block {
    pub(crate) heading: String,
    pub(crate) commands: String,
}

/// Returns the text of a page.
pub(crate) fn page(file: &str) -> String {
    std::fs::read_to_string(format!("{}/../docs/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Returns all blocks of commands, in the order of the page.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut heading = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let fence = line.trim_start();
        if let Some(text) = line.strip_prefix('#') {
            heading = text.trim_start_matches('#').trim().to_owned();
        } else if let Some(language) = fence.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| line.trim_start() != "```").collect();
            match language {
                "sh" => blocks.push(Block { heading: heading.clone(), commands: body.join("\n") }),
                // The configuration for Prometheus has the address that the commands set.
                "yaml" => assert!(body.iter().any(|line| line.contains("\"127.0.0.1:9100\"")), "{body:?}"),
                other => panic!("a block of {other:?} under {heading:?} is checked by nothing"),
            }
        }
    }
    blocks
}

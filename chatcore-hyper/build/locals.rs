//! Shortens the names that a declaration at the top level of a module has within it: its parameters and variables.
//!
//! A name means one thing in a whole declaration as far as this is concerned, so no scopes are needed. Names of the
//! browser and of the language keep theirs, and one that is neither known here nor declared is refused.

use std::collections::{HashMap, HashSet};

use crate::names::{Name, short_name, token};
use crate::strip::{Code, is_word};

/// The names of the browser and of the language that the modules use. Those that begin with a capital letter are
/// not listed; they keep their names, too.
const GLOBALS: [&str; 25] = [
    "addEventListener",
    "cancelAnimationFrame",
    "clearTimeout",
    "customElements",
    "decodeURIComponent",
    "document",
    "encodeURIComponent",
    "fetch",
    "getSelection",
    "globalThis",
    "history",
    "import",
    "indexedDB",
    "innerHeight",
    "innerWidth",
    "localStorage",
    "location",
    "matchMedia",
    "navigator",
    "performance",
    "queueMicrotask",
    "requestAnimationFrame",
    "setTimeout",
    "undefined",
    "window",
];

const KEYWORDS: [&str; 41] = [
    "async",
    "await",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "continue",
    "debugger",
    "default",
    "delete",
    "do",
    "else",
    "export",
    "extends",
    "false",
    "finally",
    "for",
    "from",
    "function",
    "get",
    "if",
    "in",
    "instanceof",
    "let",
    "new",
    "null",
    "of",
    "return",
    "set",
    "static",
    "super",
    "switch",
    "this",
    "throw",
    "true",
    "try",
    "typeof",
    "void",
    "while",
    "yield",
];

/// A token of a declaration.
#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    is_name: bool,
}

/// Returns short names for the names that `lines`, one declaration, declare within it.
///
/// `is_outer` says whether a name is declared at the top level, and `is_short` whether a short name is taken there.
///
/// # Errors
/// A name that is not declared anywhere.
pub(crate) fn short_locals<'a>(
    lines: &'a [Code],
    names: &[Vec<Name>],
    is_outer: impl Fn(&str) -> bool,
    is_taken: impl Fn(&str) -> bool,
) -> Result<HashMap<&'a str, String>, &'a str> {
    let tokens = tokens(lines, names);
    let declared = declared(&tokens);
    let keeps = |name: &str| {
        KEYWORDS.contains(&name)
            || GLOBALS.contains(&name)
            || !name.starts_with(|c: char| c.is_ascii_lowercase())
    };
    let mut kept = HashSet::new();
    let mut locals = Vec::new();
    for Token { text, .. } in tokens.iter().filter(|token| token.is_name && !is_outer(token.text)) {
        if keeps(text) {
            kept.insert(*text);
        } else if !declared.contains(text) {
            return Err(text);
        } else if !locals.contains(text) {
            locals.push(*text);
        }
    }
    let free = (0..)
        .map(short_name)
        .filter(|name| !kept.contains(&**name) && !KEYWORDS.contains(&&**name) && !is_taken(name));
    Ok(locals.into_iter().zip(free).collect())
}

fn tokens<'a>(lines: &'a [Code], names: &[Vec<Name>]) -> Vec<Token<'a>> {
    let mut tokens = Vec::new();
    for (line, names) in lines.iter().zip(names) {
        let begins: HashSet<usize> = names.iter().map(|name| name.begin).collect();
        tokens.extend(
            line.tokens
                .iter()
                .map(|&at| Token { text: token(&line.text, at), is_name: begins.contains(&at) }),
        );
    }
    tokens
}

/// Returns the names that are declared: variables, parameters, functions.
fn declared<'a>(tokens: &[Token<'a>]) -> HashSet<&'a str> {
    let closing = closing(tokens);
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut declared = HashSet::new();
    for (at, &close) in closing.iter().enumerate() {
        let is_arrow = |at: usize| text(at) == "=" && text(at + 1) == ">";
        match text(at) {
            "function" | "class" => add(&tokens[at + 1..(at + 2).min(tokens.len())], &mut declared),
            "const" | "let" => add(&tokens[at + 1..statement_end(tokens, &closing, at)], &mut declared),
            "(" => {
                let Some(close) = close else { continue };
                let before = |count: usize| at.checked_sub(count).map_or("", text);
                let is_head = matches!(before(1), "if" | "for" | "while" | "switch") && before(2) != "#";
                let is_body = text(close + 1) == "{" && !is_head;
                if is_body || is_arrow(close + 1) {
                    add(&tokens[at + 1..close], &mut declared);
                }
            }
            _ if tokens[at].is_name && is_arrow(at + 1) => {
                declared.insert(text(at));
            }
            _ => {}
        }
    }
    declared
}

/// Returns where the declaration ends that begins at `at`: after a semicolon, with the head of a loop, or with the
/// bracket that holds it.
fn statement_end(tokens: &[Token], closing: &[Option<usize>], at: usize) -> usize {
    let mut end = at + 1;
    while let Some(token) = tokens.get(end) {
        if matches!(token.text, ";" | "of" | "in" | ")" | "]" | "}") {
            break;
        }
        end = closing[end].unwrap_or(end) + 1;
    }
    end.min(tokens.len())
}

/// Adds the names of a pattern, of a list of parameters or of a declaration, without those of the values.
fn add<'a>(pattern: &[Token<'a>], declared: &mut HashSet<&'a str>) {
    let mut depth = 0_usize;
    // The depth of the default value that is being skipped.
    let mut skipped: Option<usize> = None;
    for token in pattern {
        match token.text {
            "{" | "[" | "(" | "${" => depth += 1,
            "}" | "]" | ")" => {
                depth = depth.saturating_sub(1);
                skipped = skipped.filter(|&from| from <= depth);
            }
            "," => skipped = skipped.filter(|&from| from != depth),
            "=" if skipped.is_none() => skipped = Some(depth),
            text if token.is_name && skipped.is_none() && text.starts_with(is_word) => {
                declared.insert(text);
            }
            _ => {}
        }
    }
}

/// Returns for each opening bracket where it closes.
fn closing(tokens: &[Token]) -> Vec<Option<usize>> {
    let mut closing = vec![None; tokens.len()];
    let mut open = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" | "${" => open.push(at),
            ")" | "]" | "}" => {
                if let Some(begin) = open.pop() {
                    closing[begin] = Some(at);
                }
            }
            _ => {}
        }
    }
    closing
}

#[cfg(test)]
mod tests {
    use crate::names::rename;
    use crate::strip::{self, Syntax};

    fn renamed(source: &str) -> Result<String, (usize, String)> {
        let mut lines = strip::lines(source, Syntax::JavaScript).expect("it is code");
        let outer = |name: &str| (name == "outer").then_some("aa");
        rename(&mut lines, outer, |name| matches!(name, "aa" | "c"))?;
        Ok(strip::join(&lines, Syntax::JavaScript))
    }

    #[test]
    fn what_is_declared_within_gets_a_short_name() {
        for (source, expected) in [
            ("(one, { two, three: [four = one] }, ...five) => five;", "(a,{two:b,three:[d=a]},...e)=>e;"),
            ("one => two => one(two);", "a=>b=>a(b);"),
            (
                "() => {\n  const one = 1, { two } = one;\n  let three, four;\n};",
                "()=>{let a=1,{two:b}=a;let d,e;};",
            ),
            (
                "() => {\n  for (const [one] of outer.one) one.one({ one });\n};",
                "()=>{for(let[a]of aa.one)a.one({one:a});};",
            ),
            ("() => {\n  try { outer(); } catch (one) { one(); }\n};", "()=>{try{aa();}catch(a){a();}};"),
            ("() => {\n  function one(two) { two(); }\n  one();\n};", "()=>{function a(b){b();}\na();};"),
            ("(one) => `one ${one} ${`${one}`}`;", "(a)=>`one ${a} ${`${a}`}`;"),
            ("(one) => document.one + One + one;", "(a)=>document.one+One+a;"),
        ] {
            assert_eq!(renamed(source).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn each_member_of_a_class_has_names_of_its_own() {
        let source = "class outer {\n  #one = (two) => two;\n  #if(one, two) {\n    return one;\n  }\n  set three(three) {\n    \
            this.#one = three;\n  }\n}\n";
        let expected = "class aa{#a=(a)=>a;#b(a,b){return a;}\nset three(a){this.#a=a;}}";
        assert_eq!(renamed(source).as_deref().map(str::trim_end), Ok(expected));
    }

    #[test]
    fn a_short_name_is_none_that_is_in_use() {
        // `c` is a name at the top level of another module.
        assert_eq!(renamed("(x, y, z) => a(x, y, z);"), Err((0, "`a` is declared nowhere in it".to_owned())));
        assert_eq!(renamed("(x, y, z) => x(y, z);").as_deref(), Ok("(a,b,d)=>a(b,d);"));
    }

    #[test]
    fn a_name_of_nobody_is_refused() {
        for source in
            ["one();", "() => one;", "(one = two) => one;", "() => {\n  if (one) {\n    outer();\n  }\n};"]
        {
            let (line, why) = renamed(source).expect_err(source);
            assert!(line == 0 && why.ends_with("is declared nowhere in it"), "{source}: {why}");
        }
    }
}

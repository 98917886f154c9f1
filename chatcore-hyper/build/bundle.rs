//! Makes one file of modules, and one of styles that import each other.
//!
//! Modules keep to a small part of the language, by which one scope can hold them all: a line imports or exports,
//! or begins one declaration, and no two modules declare the same name at their top level. They come in the order
//! in which a browser would run them. What is private to a class gets a short name. What is outside of that part
//! is refused, with its file and line.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::strip::{self, Code, Syntax};

/// The files by name.
pub(crate) type Sources = BTreeMap<String, String>;

/// Makes one module of `entry` and all that it imports, which exports what `entry` does.
///
/// # Errors
/// The file and the line that are refused, and why.
pub(crate) fn modules(sources: &Sources, entry: &str) -> Result<String, String> {
    let mut bundle = Bundle::new(sources);
    bundle.add(entry, &mut Vec::new())?;
    let mut exported: Vec<&str> = bundle.exports[entry].iter().map(String::as_str).collect();
    exported.sort_unstable();
    Ok(format!("{}export{{{}}};", bundle.code, exported.join(",")))
}

/// Makes one style of `entry` and all that it imports.
///
/// # Errors
/// The file and the line that are refused, and why.
pub(crate) fn styles(sources: &Sources, entry: &str) -> Result<String, String> {
    let mut style = String::new();
    add_style(sources, entry, &mut HashSet::new(), &mut style)?;
    Ok(style)
}

fn add_style(
    sources: &Sources,
    name: &str,
    added: &mut HashSet<String>,
    style: &mut String,
) -> Result<(), String> {
    added.insert(name.to_owned());
    let mut rules = Vec::new();
    for line in read(sources, name, Syntax::Css)? {
        if line.text.starts_with("@charset") || line.text.starts_with("@namespace") {
            return Err(refusal(name, &line, "this counts at the beginning of a file only"));
        }
        if !line.text.contains("@import") {
            rules.push(line);
            continue;
        }
        let imported = line.text.strip_prefix("@import url(\"").and_then(|rest| rest.strip_suffix("\");"));
        let Some(imported) = imported.filter(|imported| sources.contains_key(*imported)) else {
            return Err(refusal(name, &line, "an import is `@import url(\"a.css\");` of a file beside it"));
        };
        if !rules.is_empty() {
            return Err(refusal(name, &line, "an import comes before all rules"));
        }
        if added.contains(imported) {
            return Err(refusal(name, &line, "a style is imported once"));
        }
        add_style(sources, imported, added, style)?;
    }
    style.push_str(&strip::join(&rules, Syntax::Css));
    Ok(())
}

/// Returns a file's lines of code, whose brackets are closed at its end.
fn read(sources: &Sources, name: &str, syntax: Syntax) -> Result<Vec<Code>, String> {
    let source = sources.get(name).ok_or_else(|| format!("{name}: there is no such file"))?;
    let lines = strip::lines(source, syntax).map_err(|(line, why)| format!("{name}:{line}: {why}"))?;
    if let Some(line) = lines.iter().find(|line| line.ends_in < 0) {
        return Err(refusal(name, line, "a bracket closes that was not opened"));
    }
    match lines.last() {
        Some(last) if last.ends_in > 0 => Err(refusal(name, last, "a bracket is not closed")),
        _ => Ok(lines),
    }
}

fn refusal(name: &str, line: &Code, why: &str) -> String {
    format!("{name}:{}: {why}: {}", line.number, line.text)
}

/// Modules while they are joined.
struct Bundle<'a> {
    sources: &'a Sources,
    code: String,
    /// What each module that is in exports.
    exports: HashMap<String, HashSet<String>>,
    /// Where each name of a top level was declared.
    declared: HashMap<String, String>,
    /// The short names of what is private to the class that is read.
    private: HashMap<String, String>,
}

impl<'a> Bundle<'a> {
    fn new(sources: &'a Sources) -> Self {
        let (exports, declared, private) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { sources, code: String::new(), exports, declared, private }
    }

    /// Returns a line's text with short names for what is private.
    fn shortened(&mut self, line: &Code) -> String {
        if line.begins_in == 0 && line.text.trim_start_matches("export ").starts_with("class ") {
            self.private.clear();
        }
        let mut text = String::new();
        let mut from = 0;
        for begin in line.private.iter().map(|at| at + 1) {
            let rest = &line.text[begin..];
            let name = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
            let next = self.private.len();
            let short = self.private.entry(name.to_owned()).or_insert_with(|| short_name(next));
            text.push_str(&line.text[from..begin]);
            text.push_str(short);
            from = begin + name.len();
        }
        text + &line.text[from..]
    }

    /// Adds a module after those that it imports. `importers` are those that wait for it.
    fn add(&mut self, name: &str, importers: &mut Vec<String>) -> Result<(), String> {
        importers.push(name.to_owned());
        let mut body: Vec<Code> = Vec::new();
        let mut exports = HashSet::new();
        for line in read(self.sources, name, Syntax::JavaScript)? {
            let line = Code { text: self.shortened(&line), ..line };
            let refused = |why: &str| refusal(name, &line, why);
            match Statement::of(&line).map_err(refused)? {
                Statement::Import { names, module, exported } => {
                    if importers.iter().any(|importer| importer == module) {
                        return Err(refused("modules import each other in a circle"));
                    }
                    if !self.sources.contains_key(module) {
                        return Err(refused("there is no such file"));
                    }
                    if !self.exports.contains_key(module) {
                        self.add(module, importers)?;
                    }
                    if let Some(missing) = names.iter().find(|name| !self.exports[module].contains(**name)) {
                        return Err(refused(&format!("{module} does not export {missing}")));
                    }
                    if exported {
                        exports.extend(names.into_iter().map(ToOwned::to_owned));
                    }
                }
                Statement::Declaration { name: declared, exported } => {
                    let place = format!("{name}:{}", line.number);
                    if let Some(other) = self.declared.insert(declared.to_owned(), place) {
                        return Err(refused(&format!("{declared} is declared at {other} too")));
                    }
                    if exported {
                        exports.insert(declared.to_owned());
                    }
                    let text = line.text.strip_prefix("export ").unwrap_or(&line.text).to_owned();
                    body.push(Code { text, ..line });
                }
                Statement::Other => body.push(line),
            }
        }
        if let Some(first) = body.first().filter(|line| !line.text.starts_with(is_word)) {
            return Err(refusal(name, first, "a module begins with a word"));
        }
        self.code.push_str(&strip::join(&body, Syntax::JavaScript));
        self.exports.insert(name.to_owned(), exports);
        importers.pop();
        Ok(())
    }
}

/// What a line means to other modules.
#[derive(Debug, PartialEq, Eq)]
enum Statement<'a> {
    Import { names: Vec<&'a str>, module: &'a str, exported: bool },
    Declaration { name: &'a str, exported: bool },
    Other,
}

impl<'a> Statement<'a> {
    fn of(line: &'a Code) -> Result<Self, &'static str> {
        if line.text.contains("import(") {
            return Err("an import is at the beginning of a line");
        }
        if line.outer.is_empty() {
            return Ok(Self::Other);
        }
        let begins_outside = line.begins_in == 0;
        let text = line.text.as_str();
        let word =
            if begins_outside { &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())] } else { "" };
        if word == "import" && !text.starts_with("import.") {
            return Self::import(&text["import".len()..], false);
        }
        if text.starts_with("export{") && begins_outside {
            return Self::import(&text["export".len()..], true);
        }
        is_single(&line.outer)?;
        let (exported, text) = match text.strip_prefix("export ") {
            Some(rest) if begins_outside => (true, rest),
            _ => (false, text),
        };
        match begins_outside.then(|| declared(text)).transpose()?.flatten() {
            Some(name) => Ok(Self::Declaration { name, exported }),
            None if exported || word == "export" => Err("what is exported is one declaration, with a name"),
            None => Ok(Self::Other),
        }
    }

    /// Reads what follows the keyword.
    fn import(text: &'a str, exported: bool) -> Result<Self, &'static str> {
        const FORM: &str = "an import is `import { a, b } from './c.js';` or `import './c.js';`, of a file beside it, \
             and an export of another module's `export { a } from './c.js';`";
        let (names, from) = match text.strip_prefix('{').and_then(|text| text.split_once("}from ")) {
            Some((names, from)) => (names.split(',').collect(), from),
            None if exported => return Err(FORM),
            None => (Vec::new(), text.trim_start()),
        };
        let module = from.strip_prefix("'./").and_then(|rest| rest.strip_suffix("';")).ok_or(FORM)?;
        if !names.iter().all(|name| !name.is_empty() && name.chars().all(is_word) && *name != "default") {
            return Err(FORM);
        }
        Ok(Self::Import { names, module, exported })
    }
}

/// Returns the name that a line declares.
fn declared(text: &str) -> Result<Option<&str>, &'static str> {
    const KEYWORDS: [&str; 6] = ["async function", "function", "class", "const", "let", "var"];
    let mut rests = KEYWORDS.iter().filter_map(|word| text.strip_prefix(word));
    let Some(rest) = rests.find(|rest| !rest.starts_with(is_word)) else { return Ok(None) };
    let rest = rest.trim_start_matches(['*', ' ']);
    let name = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
    if name.is_empty() { Err("a declaration has one plain name") } else { Ok(Some(name)) }
}

/// Checks that the part of a line that is in no bracket is of one statement and declares one name at most.
fn is_single(outer: &str) -> Result<(), &'static str> {
    let more = outer.trim_end_matches(';');
    if more.contains(';') || more.split('}').skip(1).any(|rest| rest.trim_start().starts_with(is_word)) {
        return Err("a line outside of all brackets is of one statement");
    }
    if more.contains(',') { Err("a declaration has one plain name") } else { Ok(()) }
}

/// Returns the name of this index among all that are made of letters, the shortest first.
fn short_name(index: usize) -> String {
    const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let last = char::from(LETTERS[index % LETTERS.len()]);
    let before = index / LETTERS.len();
    if before == 0 { String::from(last) } else { format!("{}{last}", short_name(before - 1)) }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Sources {
        files.iter().map(|(name, source)| ((*name).to_owned(), (*source).to_owned())).collect()
    }

    #[track_caller]
    fn assert_refused(files: &[(&str, &str)], expected: &str) {
        let refused = modules(&sources(files), "a.js").expect_err(expected);
        assert!(refused.starts_with(expected), "{refused}");
    }

    #[test]
    fn each_module_comes_once_and_after_those_that_it_imports() {
        let files = sources(&[
            ("a.js", "import './b.js';\nimport { d } from './d.js';\nexport { c } from './c.js';\nd();\n"),
            ("b.js", "/* import './no.js'; */\nimport { c, C } from './c.js';\nc(C)\n"),
            ("c.js", "import { d } from './d.js';\nexport function c() {\n  d();\n}\nexport const C = 1;\n"),
            ("d.js", "export async function* d() {}\nclass E {\n  d = 1;\n}\n"),
            ("unused.js", "export default 1"),
        ]);
        let bundle =
            "async function*d(){}\nclass E{d=1;}\nfunction c(){d();}\nconst C=1;c(C)\nd();export{c};";
        assert_eq!(modules(&files, "a.js").as_deref(), Ok(bundle));
    }

    #[test]
    fn what_is_private_to_a_class_has_a_short_name() {
        let files = sources(&[
            ("a.js", "import './b.js';\nclass A {\n  #core = '#core';\n  has = (a) => #core in a;\n}\n"),
            (
                "b.js",
                "class B {\n  #other() {\n    return `#other ${this.#core.#other}` + /#core/u;\n  }\n}\n",
            ),
        ]);
        let bundle = "class B{#a(){return `#other ${this.#b.#a}` + /#core/u;}\n}\nclass A{#a='#core';has=(a)=>#a in a;}\nexport{};";
        assert_eq!(modules(&files, "a.js").as_deref(), Ok(bundle));
        let names: Vec<String> = [0, 51, 52, 52 + 51, 52 + 52 * 52].map(short_name).into();
        assert_eq!(names, ["a", "Z", "aa", "aZ", "aaa"]);
    }

    #[test]
    fn what_only_looks_like_a_statement_of_the_top_level_stays() {
        for source in [
            "const a=['import','export const b=1;',`export ${b}`,/import|,;/];",
            "f(\nimport.meta.url,'}',{export:1,import:2});",
            "const a=b=>{const c=1,d=2;return c;};",
            "const a=\nb?c:d;",
            "let a;",
            "class A extends B{static b=1;}\n",
        ] {
            let bundle = modules(&sources(&[("a.js", source)]), "a.js");
            let newline = if source.ends_with(';') || source.ends_with('\n') { "" } else { "\n" };
            assert_eq!(bundle.as_deref(), Ok(&*format!("{source}{newline}export{{}};").replace("(\n", "(")));
        }
        let local =
            sources(&[("a.js", "import './b.js';\nf(() => {\nconst b = 1;\n});"), ("b.js", "let b;")]);
        assert!(modules(&local, "a.js").is_ok(), "a name inside a function is its own");
    }

    #[test]
    fn a_name_is_declared_once_in_all_modules() {
        for other in
            ["const B = 1;", "export class B {}", "async function B() {}", "function* B() {}", "let B;"]
        {
            let files = [("a.js", "import './b.js';\n\nconst B = 2;"), ("b.js", other)];
            assert_refused(&files, "a.js:3: B is declared at b.js:1 too");
        }
    }

    #[test]
    fn what_is_outside_of_the_subset_is_refused_with_its_line() {
        let import = "b.js:2: an import is `import { a, b } from './c.js';`";
        for (line, why) in [
            ("import * as c from './c.js';", import),
            ("import c from './c.js';", import),
            ("import { c as d } from './c.js';", import),
            ("import { default } from './c.js';", import),
            ("import {\n  c,\n} from './c.js';", import),
            ("import { c } from '/c.js';", import),
            ("import { c } from './c.js'", import),
            ("import { c } from './c.js'; d();", import),
            ("export { c as d } from './c.js';", import),
            ("export { c };", import),
            ("import { c } from './none.js';", "b.js:2: there is no such file"),
            ("import { d } from './c.js';", "b.js:2: c.js does not export d"),
            ("import './a.js';", "b.js:2: modules import each other in a circle"),
            ("import './b.js';", "b.js:2: modules import each other in a circle"),
            ("export * from './c.js';", "b.js:2: what is exported"),
            ("export default 1;", "b.js:2: what is exported"),
            ("export default class C {}", "b.js:2: what is exported"),
            ("export async () => {};", "b.js:2: what is exported"),
            ("const { c } = d;", "b.js:2: a declaration has one plain name"),
            ("const c = 1, d = 2;", "b.js:2: a declaration has one plain name"),
            ("const c = 1,\n  d = 2;", "b.js:2: a declaration has one plain name"),
            ("export function () {}", "b.js:2: a declaration has one plain name"),
            ("const c = 1; const d = 2;", "b.js:2: a line outside of all brackets"),
            ("function c() {\n} function d() {}", "b.js:3: a line outside of all brackets"),
            ("d(() => import('./c.js'));", "b.js:2: an import is at the beginning of a line"),
            ("(() => {})();", "b.js:2: a module begins with a word"),
            ("d(", "b.js:2: a bracket is not closed"),
            ("d());", "b.js:2: a bracket closes that was not opened"),
            ("d(`", "b.js:2: a template literal spans lines"),
        ] {
            let own = format!("// b\n{line}");
            let files = [("a.js", "import './b.js';"), ("b.js", &own), ("c.js", "export const c = 1;")];
            assert_refused(&files, why);
        }
    }

    #[test]
    fn a_style_has_those_that_it_imports_before_its_own_rules() {
        let files = [
            ("a.css", "/* a */\n@import url(\"b.css\");\n@import url(\"c.css\");\n.a { b: url(\"d.png\"); }"),
            ("b.css", "@import url(\"d.css\");\n.b { c: 1 }"),
            ("c.css", ".c {\n  d: 1;\n}"),
            ("d.css", ".d { e: \"@\"; }"),
        ];
        let style = ".d{e:\"@\";}.b{c:1 }.c{d:1;}.a{b:url(\"d.png\");}";
        assert_eq!(styles(&sources(&files), "a.css").as_deref(), Ok(style));
    }

    #[test]
    fn a_style_that_would_mean_something_else_is_refused() {
        let form = "a.css:1: an import is";
        for (source, why) in [
            ("@import url(\"none.css\");", form),
            ("@import 'b.css';", form),
            ("@import url(\"b.css\") print;", form),
            (".c { d: 1 }\n@import url(\"b.css\");", "a.css:2: an import comes before all rules"),
            ("@import url(\"b.css\");\n@import url(\"b.css\");", "a.css:2: a style is imported once"),
            ("@import url(\"a.css\");", "a.css:1: a style is imported once"),
            ("@charset \"utf-8\";", "a.css:1: this counts at the beginning"),
            (".c {", "a.css:1: a bracket is not closed"),
        ] {
            let refused = styles(&sources(&[("a.css", source), ("b.css", "")]), "a.css").expect_err(why);
            assert!(refused.starts_with(why), "{refused}");
        }
    }
}

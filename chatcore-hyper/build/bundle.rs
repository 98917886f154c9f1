//! Bundles modules into one file, and styles that import each other into another.
//!
//! The modules use a small subset of the language, so that one scope can hold them all: a line imports or exports,
//! or begins one declaration. They are joined in the order in which a browser would run them. Each top-level name
//! and each private class member gets a unique short name. Everything outside of the subset is refused, with the
//! file and the line.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::names::{rename, short_name, token};
use crate::strip::{self, Code, Syntax, is_word};

/// How many short names consist of one letter.
const SINGLE_LETTERS: usize = 52;

/// The files by their paths.
pub(crate) type Sources = BTreeMap<String, String>;

/// Bundles `entry` and all modules that it imports into one module with the exports of `entry`.
///
/// # Errors
/// The file and the line that are refused, and why.
pub(crate) fn modules(sources: &Sources, entry: &str) -> Result<String, String> {
    let mut bundle = Bundle { sources, modules: Vec::new(), exports: HashMap::new(), declared: 0 };
    bundle.add(entry, &mut Vec::new())?;
    bundle.joined(entry)
}

/// Bundles `entry` and all styles that it imports into one style.
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
            if name.contains('/') && line.text.contains("url(") {
                return Err(refusal(
                    name,
                    &line,
                    "an address in a folder's style would be another in the bundle",
                ));
            }
            rules.push(line);
            continue;
        }
        let imported = line.text.strip_prefix("@import url(\"").and_then(|rest| rest.strip_suffix("\");"));
        let imported = imported.and_then(|address| resolve(name, address));
        let Some(imported) = imported.filter(|imported| sources.contains_key(imported)) else {
            return Err(refusal(
                name,
                &line,
                "an import is `@import url(\"a/b.css\");` of a file that is here",
            ));
        };
        if !rules.is_empty() {
            return Err(refusal(name, &line, "an import comes before all rules"));
        }
        if added.contains(&imported) {
            return Err(refusal(name, &line, "a style is imported once"));
        }
        add_style(sources, &imported, added, style)?;
    }
    style.push_str(&strip::join(&rules, Syntax::Css));
    Ok(())
}

/// Returns the lines of code of a file, all of whose brackets must be closed at the end.
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

/// Returns the path of an imported file, or `None` if it is outside of the folder.
fn resolve(importer: &str, address: &str) -> Option<String> {
    let folder = importer.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut path: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in address.split('/') {
        match part {
            "." => {}
            ".." => drop(path.pop()?),
            part => path.push(part),
        }
    }
    Some(path.join("/"))
}

/// A bundle in progress.
struct Bundle<'a> {
    sources: &'a Sources,
    /// The modules in the order in which they run.
    modules: Vec<Module>,
    /// The exports of each bundled module, as indexes into all declared names.
    exports: HashMap<String, Scope>,
    /// The number of names declared at the top level of all modules.
    declared: usize,
}

/// The names that a module can use, as indexes into all declared names.
type Scope = HashMap<String, usize>;

/// A module without its imports and exports.
struct Module {
    name: String,
    body: Vec<Code>,
    scope: Scope,
}

impl Bundle<'_> {
    /// Adds a module after its imports. `importers` are the modules that are being added.
    fn add(&mut self, name: &str, importers: &mut Vec<String>) -> Result<(), String> {
        importers.push(name.to_owned());
        let (mut body, mut scope, mut exports) = (Vec::new(), Scope::new(), Scope::new());
        for line in with_whole_imports(read(self.sources, name, Syntax::JavaScript)?) {
            let refused = |why: &str| refusal(name, &line, why);
            if name.contains('/') && line.text.contains("import.meta") {
                return Err(refused("in the bundle, only a module outside of all folders knows its address"));
            }
            match Statement::of(&line).map_err(refused)? {
                Statement::Import { names, module, exported } => {
                    let missing = || refused("there is no such file");
                    let module = resolve(name, module).ok_or_else(missing)?;
                    if importers.contains(&module) {
                        return Err(refused("modules import each other in a circle"));
                    }
                    if !self.sources.contains_key(&module) {
                        return Err(missing());
                    }
                    if !self.exports.contains_key(&module) {
                        self.add(&module, importers)?;
                    }
                    for imported in names {
                        let Some(&place) = self.exports[&module].get(imported) else {
                            return Err(refused(&format!("{module} does not export {imported}")));
                        };
                        let names = if exported { &mut exports } else { &mut scope };
                        if names.insert(imported.to_owned(), place).is_some() {
                            return Err(refused(&format!("{imported} is declared twice")));
                        }
                    }
                }
                Statement::Declaration { name: declared, exported } => {
                    if scope.insert(declared.to_owned(), self.declared).is_some() {
                        return Err(refused(&format!("{declared} is declared twice")));
                    }
                    if exported {
                        exports.insert(declared.to_owned(), self.declared);
                    }
                    self.declared += 1;
                    body.push(if exported { without_export(line) } else { line });
                }
                Statement::Other => body.push(line),
            }
        }
        if let Some(first) = body.first().filter(|line| !line.text.starts_with(is_word)) {
            return Err(refusal(name, first, "a module begins with a word"));
        }
        self.modules.push(Module { name: name.to_owned(), body, scope });
        self.exports.insert(name.to_owned(), exports);
        importers.pop();
        Ok(())
    }

    /// Returns the code of all modules, and the exports of `entry`.
    fn joined(mut self, entry: &str) -> Result<String, String> {
        let short = self.short_names();
        let taken: HashSet<&str> = short.iter().map(String::as_str).collect();
        let mut code = String::new();
        for Module { name, body, scope } in &mut self.modules {
            rename(body, |name| Some(&*short[*scope.get(name)?]), |name| taken.contains(name))
                .map_err(|(index, why)| refusal(name, &body[index], &why))?;
            code.push_str(&strip::join(&*body, Syntax::JavaScript));
        }
        let mut exported: Vec<String> =
            self.exports[entry].iter().map(|(name, &place)| format!("{} as {name}", short[place])).collect();
        exported.sort_unstable();
        Ok(format!("{code}export{{{}}};", exported.join(",")))
    }

    /// Returns a name for each declaration that occurs in no module.
    fn short_names(&self) -> Vec<String> {
        const RESERVED: [&str; 8] = ["do", "for", "if", "in", "let", "new", "try", "var"];
        let lines = self.modules.iter().flat_map(|module| &module.body);
        let words = lines.flat_map(|line| line.tokens.iter().map(|&at| token(&line.text, at)));
        let taken: HashSet<&str> = words.chain(RESERVED).collect();
        // One letter is for the many names within declarations.
        (SINGLE_LETTERS..)
            .map(short_name)
            .filter(|name| !taken.contains(&**name))
            .take(self.declared)
            .collect()
    }
}

/// Returns the lines, with each import or export over several lines joined into one.
fn with_whole_imports(lines: Vec<Code>) -> Vec<Code> {
    let mut whole: Vec<Code> = Vec::with_capacity(lines.len());
    for line in lines {
        let is_open = |last: &&mut Code| {
            let begins = last.text.starts_with("import{") || last.text.starts_with("export{");
            begins && last.begins_in == 0 && last.ends_in > 0
        };
        if let Some(last) = whole.last_mut().filter(is_open) {
            last.text.push_str(&line.text);
            last.outer.push_str(&line.outer);
            last.ends_in = line.ends_in;
        } else {
            whole.push(line);
        }
    }
    whole
}

/// Removes the word `export` from a declaration.
fn without_export(line: Code) -> Code {
    const WORD: usize = "export ".len();
    let tokens = line.tokens[1..].iter().map(|at| at - WORD).collect();
    Code { text: line.text[WORD..].to_owned(), tokens, ..line }
}

/// The meaning of a line for other modules.
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

    /// Parses the text after the keyword.
    fn import(text: &'a str, exported: bool) -> Result<Self, &'static str> {
        const FORM: &str = "an import is `import { a, b } from './c.js';` or `import '../c.js';`, \
             and an export of another module's `export { a } from './c.js';`";
        let (names, from) = match text.strip_prefix('{').and_then(|text| text.split_once("}from ")) {
            Some((names, from)) => (names.strip_suffix(',').unwrap_or(names).split(',').collect(), from),
            None if exported => return Err(FORM),
            None => (Vec::new(), text.trim_start()),
        };
        let module = from.strip_prefix('\'').and_then(|rest| rest.strip_suffix("';")).ok_or(FORM)?;
        if !module.starts_with("./") && !module.starts_with("../") {
            return Err(FORM);
        }
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

/// Checks that the part of a line outside of brackets is a single statement that declares at most one name.
fn is_single(outer: &str) -> Result<(), &'static str> {
    let more = outer.trim_end_matches(';');
    if more.contains(';') || more.split('}').skip(1).any(|rest| rest.trim_start().starts_with(is_word)) {
        return Err("a line outside of all brackets is of one statement");
    }
    if more.contains(',') { Err("a declaration has one plain name") } else { Ok(()) }
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
        let bundle = "async function*aa(){}\nclass ab{d=1;}\nfunction ac(){aa();}\nlet ad=1;ac(ad)\naa();export{ac as c};";
        assert_eq!(modules(&files, "a.js").as_deref(), Ok(bundle));
    }

    #[test]
    fn an_import_is_found_from_the_folder_of_its_module() {
        let files = sources(&[
            ("a.js", "import './b/b.js';"),
            ("b/b.js", "import {\n  c,\n} from './c/c.js';\nimport { d } from '../d.js';\nc(d);"),
            ("b/c/c.js", "import { d } from '../../d.js';\nexport const c = d;"),
            ("d.js", "export const d = import.meta.url;"),
        ]);
        let bundle = "let aa=import.meta.url;let ab=aa;ab(aa);export{};";
        assert_eq!(modules(&files, "a.js").as_deref(), Ok(bundle));
        let outside = [("a.js", "import './b/b.js';"), ("b/b.js", "import '../../d.js';"), ("d.js", "")];
        assert_refused(&outside, "b/b.js:1: there is no such file");
        let address = [("a.js", "import './b/b.js';"), ("b/b.js", "const b = import.meta.url;")];
        assert_refused(&address, "b/b.js:1: in the bundle, only a module outside of all folders");
    }

    #[test]
    fn modules_may_declare_the_same_name() {
        let files = sources(&[
            ("a.js", "import { get } from './b.js';\nconst KEY = get();\nexport function a(KEY = 1) {}"),
            ("b.js", "const KEY = 'KEY';\nexport function get() {\n  return `KEY ${KEY} ${{ KEY }.KEY}`;\n}"),
        ]);
        let bundle = "let aa='KEY';function ab(){return `KEY ${aa} ${{KEY:aa}.KEY}`;}\nlet ac=ab();\
             function ad(ac=1){}\nexport{ad as a};";
        assert_eq!(modules(&files, "a.js").as_deref(), Ok(bundle));
        assert_refused(&[("a.js", "const B = 1;\nlet B;")], "a.js:2: B is declared twice");
        let imported = [("a.js", "import { B } from './b.js';\nclass B {}"), ("b.js", "export let B;")];
        assert_refused(&imported, "a.js:2: B is declared twice");
    }

    #[test]
    fn a_short_name_is_no_word_of_any_module() {
        let files =
            sources(&[("a.js", "import './b.js';\nconst word = aa => aa.ab + aa.b;"), ("b.js", "let word;")]);
        assert_eq!(modules(&files, "a.js").as_deref(), Ok("let ac;let ad=a=>a.ab+a.b;export{};"));
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
        let bundle = "class aa{#a(){return `#other ${this.#b.#a}`+/#core/u;}}\nclass ab{#a='#core';has=(a)=>#a in a;}\n\
            export{};";
        assert_eq!(modules(&files, "a.js").as_deref(), Ok(bundle));
    }

    #[test]
    fn what_only_looks_like_a_statement_of_the_top_level_stays() {
        for (source, bundle) in [
            (
                "const a=['import','export const b=1;',`export ${B}`,/import|,;/];",
                "let aa=['import','export const b=1;',`export ${B}`,/import|,;/];",
            ),
            ("F(\nimport.meta.url,'}',{export:1,import:2});", "F(import.meta.url,'}',{export:1,import:2});"),
            ("const a=b=>{const c=1,d=2;return c;};", "let aa=a=>{let b=1,c=2;return b;};"),
            ("const a=\nB?C:D;", "let aa=B?C:D;"),
            ("let a;", "let aa;"),
            ("class A extends B{static b=1;}", "class aa extends B{static b=1;}\n"),
        ] {
            assert_eq!(modules(&sources(&[("a.js", source)]), "a.js"), Ok(format!("{bundle}export{{}};")));
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
            ("import {\n  c,\n  d,\n} from './c.js';", "b.js:2: c.js does not export d"),
            ("import {\n  c,\n} from './c.js'; d();", import),
            ("import { c } from '/c.js';", import),
            ("import { c } from './c.js'", import),
            ("import { c } from './c.js'; d();", import),
            ("export { c as d } from './c.js';", import),
            ("export { c };", import),
            ("import { c } from './none.js';", "b.js:2: there is no such file"),
            ("import { c } from 'c.js';", import),
            ("import { c } from '../c.js';", "b.js:2: there is no such file"),
            ("class C {\n  c = 1\n  d = 2;\n}", "b.js:4: a field of a class ends with a semicolon"),
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
            (
                "a.css",
                "/* a */\n@import url(\"b/b.css\");\n@import url(\"./c.css\");\n.a { b: url(\"d.png\"); }",
            ),
            ("b/b.css", "@import url(\"../d/d.css\");\n.b { c: 1 }"),
            ("c.css", ".c {\n  d: 1;\n}"),
            ("d/d.css", ".d { e: \"@\"; }"),
        ];
        let style = ".d{e:\"@\";}.b{c:1 }.c{d:1;}.a{b:url(\"d.png\");}";
        assert_eq!(styles(&sources(&files), "a.css").as_deref(), Ok(style));
    }

    #[test]
    fn a_style_that_would_mean_something_else_is_refused() {
        let form = "a.css:1: an import is";
        let folder = [("a.css", "@import url(\"b/b.css\");"), ("b/b.css", ".b { c: url(d.png) }")];
        let refused = styles(&sources(&folder), "a.css").expect_err("an address in a folder");
        assert!(refused.starts_with("b/b.css:1: an address in a folder's style"), "{refused}");
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

//! Tells names in a module's scopes from names of properties, so that a name can be replaced in the whole module.
//!
//! It follows the brackets: the token before a brace says whether it opens a block, an object or a class.

use std::collections::HashMap;

use crate::locals::short_locals;
use crate::strip::{Code, is_word};

/// Replaces the names of a module by those in `short`, and shortens the names within each of its declarations and of
/// private class members. `is_taken` says whether a short name stands for a name of any module.
///
/// # Errors
/// The index of the line that is refused, and why.
pub(crate) fn rename<'a>(
    body: &mut [Code],
    short: impl Fn(&str) -> Option<&'a str>,
    is_taken: impl Fn(&str) -> bool,
) -> Result<(), (usize, String)> {
    let mut private: HashMap<String, String> = HashMap::new();
    let mut locals: HashMap<String, String> = HashMap::new();
    let names = names(body).map_err(|(index, why)| (index, why.to_owned()))?;
    let begins = declarations(body);
    for (index, line_names) in names.iter().enumerate() {
        if begins[index] {
            let end = (index + 1..body.len()).find(|&end| begins[end]).unwrap_or(body.len());
            let found =
                short_locals(&body[index..end], &names[index..end], |name| short(name).is_some(), &is_taken);
            let found = found.map_err(|name| (index, format!("`{name}` is declared nowhere in it")))?;
            locals = found.into_iter().map(|(name, short)| (name.to_owned(), short)).collect();
        }
        let line = &mut body[index];
        if line.begins_in == 0 && line.text.starts_with("class ") {
            private.clear();
        }
        let mut names = line_names.iter().peekable();
        let mut text = String::new();
        let mut from = 0;
        for (at, next) in line.tokens.iter().zip(line.tokens.iter().skip(1).map(Some).chain([None])) {
            let word = token(&line.text, *at);
            if let Some(name) = names.next_if(|name| name.begin == *at) {
                // What is assigned to a constant would be refused in the modules as they are written.
                let local = locals.get(word).map(String::as_str).or((word == "const").then_some("let"));
                let Some(renamed) = local.or_else(|| short(word)) else { continue };
                text.push_str(&line.text[from..name.begin]);
                if name.is_shorthand {
                    text.push_str(word);
                    text.push(':');
                }
                text.push_str(renamed);
                from = name.end;
            } else if let Some(&begin) = next.filter(|_| word == "#") {
                let name = token(&line.text, begin);
                let index = private.len();
                let renamed = private.entry(name.to_owned()).or_insert_with(|| short_name(index));
                text.push_str(&line.text[from..begin]);
                text.push_str(renamed);
                from = begin + name.len();
            }
        }
        text.push_str(&line.text[from..]);
        line.text = text;
    }
    Ok(())
}

/// Returns for each line whether it begins a declaration or, in a class, a member.
fn declarations(body: &[Code]) -> Vec<bool> {
    let mut is_class = false;
    let begins = body.iter().map(|line| {
        if line.begins_in == 0 {
            is_class = line.text.starts_with("class ");
        }
        line.begins_in == 0 || (is_class && line.begins_in == 1)
    });
    begins.collect()
}

/// Returns the name with this index in the list of all names made of letters, the shortest first.
pub(crate) fn short_name(index: usize) -> String {
    const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let last = char::from(LETTERS[index % LETTERS.len()]);
    let before = index / LETTERS.len();
    if before == 0 { String::from(last) } else { format!("{}{last}", short_name(before - 1)) }
}

/// A word that is a name in a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The byte offsets of its start and end in the line.
    pub(crate) begin: usize,
    end: usize,
    /// Whether it is also the name of a property: `a` in `{ a, b: c }`.
    is_shorthand: bool,
}

/// Returns the names in each line of a module.
///
/// # Errors
/// The index of the line that is refused, and why.
fn names(lines: &[Code]) -> Result<Vec<Vec<Name>>, (usize, &'static str)> {
    let mut reader = Reader { open: vec![Open::new(Bracket::Block)], before: "" };
    let mut all = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let next_line = lines.get(index + 1).and_then(|line| line.text.chars().next());
        all.push(reader.line(line, next_line).map_err(|why| (index, why))?);
    }
    Ok(all)
}

/// Returns the word or the single sign that begins at `at`.
pub(crate) fn token(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    if rest.starts_with("${") {
        return &rest[..2];
    }
    let sign = rest.chars().next().map_or(0, char::len_utf8);
    &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len()).max(sign)]
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bracket {
    Block,
    Class,
    Object,
    /// A round or square bracket, or a brace of a template's substitution.
    Expression,
}

/// An open bracket.
struct Open {
    bracket: Bracket,
    /// Whether the name of a property or a method comes next.
    at_key: bool,
    /// Whether the next brace opens a class.
    in_class_head: bool,
    /// Whether the next colon ends a `case`.
    in_case: bool,
}

impl Open {
    fn new(bracket: Bracket) -> Self {
        let at_key = matches!(bracket, Bracket::Class | Bracket::Object);
        Self { bracket, at_key, in_class_head: false, in_case: false }
    }
}

struct Reader<'a> {
    /// The open brackets, the innermost last. The first stands for the module.
    open: Vec<Open>,
    /// The previous token. `=>` and the colon of a `case` are one token each.
    before: &'a str,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a Code, next_line: Option<char>) -> Result<Vec<Name>, &'static str> {
        let text = line.text.as_str();
        let mut names = Vec::new();
        for &at in &line.tokens {
            let token = token(text, at);
            let end = at + token.len();
            if token.starts_with(is_word) && token != "${" {
                let next = text[end..].trim_start().chars().next().or(next_line);
                if at == 0 && self.top().bracket == Bracket::Class && !self.top().at_key && self.ends_value()
                {
                    return Err("a field of a class ends with a semicolon");
                }
                let is_property =
                    self.before == "#" || (text[..at].ends_with('.') && !text[..at].ends_with(".."));
                if !is_property {
                    names.extend(self.word(token, next).map(|is_shorthand| Name {
                        begin: at,
                        end,
                        is_shorthand,
                    }));
                }
                self.before = token;
            } else {
                self.sign(token)?;
            }
        }
        Ok(names)
    }

    fn top(&mut self) -> &mut Open {
        self.open.last_mut().expect("invariant: brackets that close were opened")
    }

    fn ends_value(&self) -> bool {
        self.before.starts_with(is_word) || matches!(self.before, ")" | "]" | "\"" | "'" | "`")
    }

    /// Returns whether a word that does not follow a dot is a name, and whether it is a shorthand.
    fn word(&mut self, word: &str, next: Option<char>) -> Option<bool> {
        const MODIFIERS: [&str; 4] = ["async", "get", "set", "static"];
        let top = self.top();
        if top.at_key {
            let is_modifier =
                MODIFIERS.contains(&word) && !matches!(next, Some('(' | ':' | ',' | '}' | '=' | ';'));
            top.at_key = is_modifier;
            let is_shorthand = top.bracket == Bracket::Object && matches!(next, Some(',' | '}' | '='));
            return is_shorthand.then_some(true);
        }
        top.in_class_head |= word == "class";
        top.in_case |= top.bracket == Bracket::Block && matches!(word, "case" | "default");
        Some(false)
    }

    fn sign(&mut self, sign: &'a str) -> Result<(), &'static str> {
        let bracket = self.bracket();
        let ends_arrow = self.before == "=" && sign == ">";
        let top = self.top();
        let mut before = sign;
        match sign {
            "*" | "#" if top.at_key => {}
            "{" | "${" | "(" | "[" => {
                let bracket = if sign == "{" { bracket } else { Bracket::Expression };
                top.at_key = false;
                top.in_class_head &= sign != "{";
                self.open.push(Open::new(bracket));
            }
            ")" | "]" | "}" => {
                let closed = self.open.pop().map(|open| open.bracket);
                let top = self.top();
                top.at_key = top.bracket == Bracket::Class && closed == Some(Bracket::Block);
            }
            "," => top.at_key = top.bracket == Bracket::Object,
            ";" if top.bracket == Bracket::Object => return Err("a block is read as an object"),
            ";" => top.at_key = top.bracket == Bracket::Class,
            ":" if top.in_case => {
                top.in_case = false;
                before = "case:";
            }
            _ if ends_arrow => before = "=>",
            _ => top.at_key = false,
        }
        self.before = before;
        Ok(())
    }

    /// Returns what a brace opens here.
    fn bracket(&mut self) -> Bracket {
        let before = self.before;
        let top = self.top();
        match before {
            _ if top.in_class_head => Bracket::Class,
            "" | ")" | "}" | ";" | "=>" | "case:" | "else" | "try" | "catch" | "finally" | "do" => {
                Bracket::Block
            }
            "{" if top.bracket == Bracket::Block => Bracket::Block,
            "static" if top.bracket == Bracket::Class => Bracket::Block,
            _ => Bracket::Object,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strip::{self, Syntax};

    /// Returns the module with each name in angle brackets, and an equals sign for a shorthand.
    fn marked(source: &str) -> String {
        let lines = strip::lines(source, Syntax::JavaScript).expect("it is code");
        let mut all = String::new();
        for (line, names) in lines.iter().zip(names(&lines).expect("it is of the subset")) {
            let mut from = 0;
            for Name { begin, end, is_shorthand } in names {
                let word = &line.text[begin..end];
                if word == "x" {
                    let mark = if is_shorthand { "=" } else { "" };
                    all.extend([&line.text[from..begin], "<", word, mark, ">"]);
                    from = end;
                }
            }
            all += &line.text[from..];
        }
        all
    }

    #[test]
    fn names_are_told_from_properties() {
        for (source, expected) in [
            ("x.x?.x(...x);", "<x>.x?.x(...<x>);"),
            ("a = { x: x, b: { x: x }, x() {} };", "a={x:<x>,b:{x:<x>},x(){}};"),
            ("a = { x, b, x };", "a={<x=>,b,<x=>};"),
            ("a = {\n  b,\n  x\n};", "a={b,<x=>};"),
            ("f(({ x = 1, b: x = x, ...x }) => x);", "f(({<x=>=1,b:<x>=<x>,...<x>})=><x>);"),
            ("for (const { x } of x) {\n  x = { [x]: 1 };\n}", "for(const{<x=>}of <x>){<x>={[<x>]:1};}"),
            (
                "a = { get x() {}, async x() {}, *x() {}, get: x, get };",
                "a={get x(){},async x(){},*x(){},get:<x>,get};",
            ),
            ("a = b ? x : { b: c ? x : x };", "a=b?<x>:{b:c?<x>:<x>};"),
            ("a = { b: 2 * x(1), c: d(x), x: 1 };", "a={b:2*<x>(1),c:d(<x>),x:1};"),
            ("() => {\n  x(1);\n  { x(2); }\n};", "()=>{<x>(1);{<x>(2);}};"),
            ("if (a) x();\nelse { x(); }", "if(a)<x>();else{<x>();}"),
            ("try { x(); } catch { x(); } finally { x(); }", "try{<x>();}catch{<x>();}finally{<x>();}"),
            (
                "switch (a) {\n  case x: { x(1); }\n  default: x(2);\n}",
                "switch(a){case <x>:{<x>(1);}default:<x>(2);}",
            ),
            ("a = `x ${x} ${{ x: x }.x} ${`${x}`} x`;", "a=`x ${<x>} ${{x:<x>}.x} ${`${<x>}`} x`;"),
            ("a = 'x' + /x/x + \"x\"; // x", "a='x'+/x/x+\"x\";"),
            ("a = 1.5 * x / x;", "a=1.5*<x> / <x>;"),
        ] {
            assert_eq!(marked(source), expected, "{source}");
        }
    }

    #[test]
    fn short_names_are_counted_in_letters() {
        let names: Vec<String> = [0, 51, 52, 52 + 51, 52 + 52 * 52].map(short_name).into();
        assert_eq!(names, ["a", "Z", "aa", "aZ", "aaa"]);
    }

    #[test]
    fn the_members_of_a_class_are_no_names() {
        let source = "class x extends x {\n  static x = x;\n  #x = x;\n  x = { x };\n  static { x(); }\n  \
            get x() { return this.#x; }\n  async *x(x) { x(); }\n  x() { return #x in x; }\n}\nx();";
        let expected = "class <x> extends <x>{static x=<x>;#x=<x>;x={<x=>};static{<x>();}\
            get x(){return this.#x;}async*x(<x>){<x>();}x(){return #x in <x>;}}<x>();";
        assert_eq!(marked(source), expected);
    }

    #[test]
    fn what_it_could_take_for_another_is_refused() {
        let refused = |source: &str| {
            let lines = strip::lines(source, Syntax::JavaScript).expect("it is code");
            names(&lines).expect_err(source)
        };
        assert_eq!(refused("a\n{ x; }"), (1, "a block is read as an object"));
        let field = "a field of a class ends with a semicolon";
        for value in ["1", "b", "b()", "[]", "'b'", "`b`"] {
            assert_eq!(refused(&format!("class A {{\n  a = {value}\n  x = 1;\n}}")), (2, field));
        }
    }
}

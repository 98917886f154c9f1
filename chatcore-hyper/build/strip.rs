//! Takes comments and indentation off a file that is embedded, and nothing else.
//!
//! Only comments that begin a line go. A line is read just far enough to know that it ends outside of any
//! string, template and comment; one that does not is refused, since what follows it could not be judged.

/// How comments and strings look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    JavaScript,
    Css,
}

/// Strips a file.
///
/// # Errors
/// The number of the line that is refused, and why.
pub(crate) fn strip(source: &str, syntax: Syntax) -> Result<String, (usize, String)> {
    let mut stripped = String::with_capacity(source.len());
    let mut in_comment = false;
    for (index, line) in source.lines().enumerate() {
        let mut rest = line.trim();
        loop {
            if in_comment {
                let Some((_, after)) = rest.split_once("*/") else { break };
                (rest, in_comment) = (after.trim_start(), false);
            } else if let Some(comment) = rest.strip_prefix("/*") {
                (rest, in_comment) = (comment, true);
            } else if syntax == Syntax::JavaScript && rest.starts_with("//") {
                break;
            } else {
                Line::new(rest, syntax).check().map_err(|why| (index + 1, why.to_owned()))?;
                if !rest.is_empty() {
                    stripped.push_str(rest);
                    stripped.push('\n');
                }
                break;
            }
        }
    }
    Ok(stripped)
}

/// What is left of a line of code.
struct Line<'a> {
    rest: std::str::Chars<'a>,
    syntax: Syntax,
    /// The code before `rest`, by which a regular expression is told from a division.
    before: String,
    /// The braces open in the substitutions of templates, innermost last.
    substitutions: Vec<usize>,
}

impl<'a> Line<'a> {
    fn new(line: &'a str, syntax: Syntax) -> Self {
        Self { rest: line.chars(), syntax, before: String::new(), substitutions: Vec::new() }
    }

    /// Says why the line does not end as code.
    fn check(mut self) -> Result<(), &'static str> {
        let is_script = self.syntax == Syntax::JavaScript;
        while let Some(next) = self.rest.next() {
            match next {
                '"' | '\'' => self.string(next)?,
                '`' if is_script => self.template()?,
                '/' if self.rest.as_str().starts_with('*') => self.comment()?,
                '/' if is_script && self.rest.as_str().starts_with('/') => break,
                '/' if is_script && self.begins_expression() => self.regex()?,
                '(' if !is_script && self.before.ends_with("url") => self.url()?,
                '{' => self.substitutions.last_mut().into_iter().for_each(|open| *open += 1),
                '}' => match self.substitutions.pop() {
                    Some(0) => self.template()?,
                    Some(open) => self.substitutions.push(open - 1),
                    None => {}
                },
                _ => {}
            }
            self.before.push(next);
        }
        if self.substitutions.is_empty() { Ok(()) } else { Err("a template literal spans lines") }
    }

    fn string(&mut self, quote: char) -> Result<(), &'static str> {
        while let Some(next) = self.rest.next() {
            match next {
                '\\' => drop(self.rest.next()),
                _ if next == quote => return Ok(()),
                _ => {}
            }
        }
        Err("a string spans lines")
    }

    /// Reads a template up to its end or its next substitution.
    fn template(&mut self) -> Result<(), &'static str> {
        while let Some(next) = self.rest.next() {
            match next {
                '\\' => drop(self.rest.next()),
                '`' => return Ok(()),
                '$' if self.rest.as_str().starts_with('{') => {
                    self.rest.next();
                    self.substitutions.push(0);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err("a template literal spans lines")
    }

    fn comment(&mut self) -> Result<(), &'static str> {
        let (_, after) =
            self.rest.as_str()[1..].split_once("*/").ok_or("a comment that begins after code spans lines")?;
        self.rest = after.chars();
        Ok(())
    }

    fn regex(&mut self) -> Result<(), &'static str> {
        let mut in_class = false;
        while let Some(next) = self.rest.next() {
            match next {
                '\\' => drop(self.rest.next()),
                '[' => in_class = true,
                ']' => in_class = false,
                '/' if !in_class => return Ok(()),
                _ => {}
            }
        }
        Err("a regular expression does not end; put a division's operands on its line")
    }

    /// An address without quotes may have what looks like a comment.
    fn url(&mut self) -> Result<(), &'static str> {
        if self.rest.as_str().trim_start().starts_with(['"', '\'']) {
            return Ok(());
        }
        self.rest = self.rest.as_str().split_once(')').ok_or("an address spans lines")?.1.chars();
        Ok(())
    }

    /// Says whether a slash after `before` begins a regular expression: it stands where an operand is due.
    fn begins_expression(&self) -> bool {
        const WORDS: [&str; 9] = ["return", "typeof", "case", "in", "of", "void", "delete", "yield", "await"];
        let before = self.before.trim_end();
        let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '#' | '.');
        let word = &before[before.trim_end_matches(is_word).len()..];
        WORDS.contains(&word) || (word.is_empty() && !before.ends_with([')', ']', '}', '"', '\'', '`']))
    }
}

#[cfg(test)]
mod tests {
    use super::Syntax::{Css, JavaScript};
    use super::*;

    #[track_caller]
    fn assert_strips(syntax: Syntax, source: &str, expected: &str) {
        assert_eq!(strip(source, syntax).as_deref(), Ok(expected), "{source}");
    }

    #[track_caller]
    fn assert_refused(syntax: Syntax, source: &str, line: usize, why: &str) {
        assert_eq!(strip(source, syntax), Err((line, why.to_owned())), "{source}");
    }

    #[test]
    fn comments_that_begin_a_line_go_and_so_does_indentation() {
        assert_strips(JavaScript, "// a\nconst a = 1;\n\n  // b\n  a();\n", "const a = 1;\na();\n");
        assert_strips(JavaScript, "/**\n * a `b\n * // c\n */\n  a();\r\n", "a();\n");
        assert_strips(JavaScript, "/** @type {a} */ b = null;\n/* a */ // b\n", "b = null;\n");
        assert_strips(JavaScript, "/* a\n*/ b();\n/*/ c */ d();\n", "b();\nd();\n");
        assert_strips(Css, "/* a */\n\n/* b\n   c */\n.d {\n  e: f;\n}\n", ".d {\ne: f;\n}\n");
    }

    #[test]
    fn what_only_looks_like_a_comment_stays() {
        for code in [
            "const a = 'http://b.example/*c*/'; // d",
            "const a = \"it's // no comment\";",
            "const a = `//${b} /* ${`${c}//` + {d: `}`}.d}`;",
            "const a = /https?:\\/\\/[^/'\"`]*/.test(b);",
            "a.split(/[/*]/).map(b => b / 2 / c);",
            "return /`/.test(a) ? a / b : (a) / b['c'] / 'd';",
            "a = b / c; // it's a `quotient`",
            "a = b /* it's */ + c;",
            "this.#of / 2 + '/'; // `",
            "a = '\\'//' + '\\\\';",
        ] {
            assert_strips(JavaScript, code, &format!("{code}\n"));
        }
        for code in [
            ".a { background: url(//b.example/*.png); }",
            ".a { background: url( \"/*\" ); }",
            ".a::before { content: \"/* it's //\"; } /* b */",
            "//a { b: c }",
        ] {
            assert_strips(Css, code, &format!("{code}\n"));
        }
    }

    #[test]
    fn a_line_that_does_not_end_as_code_is_refused() {
        let template = "a template literal spans lines";
        assert_refused(JavaScript, "a();\nb = `\n  // text\n`;", 2, template);
        assert_refused(JavaScript, "b = `${c}\n`;", 1, template);
        assert_refused(JavaScript, "b = `${\nc}`;", 1, template);
        assert_refused(JavaScript, "b = 'c\\\n  // d';", 1, "a string spans lines");
        let comment = "a comment that begins after code spans lines";
        assert_refused(JavaScript, "a(); /* b\n// c */ d();", 1, comment);
        assert_refused(Css, ".a { /* b\n c */ }", 1, comment);
        assert_refused(Css, ".a { background: url(\nb) }", 1, "an address spans lines");
        assert_refused(Css, ".a { content: 'b\\\n c' }", 1, "a string spans lines");
        assert!(strip("a = /b", JavaScript).is_err());
    }
}

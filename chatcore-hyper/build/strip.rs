//! Strips comments and white space from a file, and nothing else.
//!
//! It removes comments at the beginning of a line, and in modules all comments, and white space that is not needed
//! to separate tokens. It parses each line to find the code. A line that ends within a string, a template or a
//! comment is refused, since the text after it can't be judged.

/// The syntax of comments and strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    JavaScript,
    Css,
}

/// Strips a file.
///
/// # Errors
/// The number of the line that is refused, and why.
pub(crate) fn strip(source: &str, syntax: Syntax) -> Result<String, Refusal> {
    Ok(join(&lines(source, syntax)?, syntax))
}

/// The number of a line, from 1, and why it is refused.
pub(crate) type Refusal = (usize, String);

/// The code of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Code {
    /// The number of the line, from 1.
    pub(crate) number: usize,
    pub(crate) text: String,
    /// The text outside of brackets. Of a string, a template and a regular expression, it has only the opening
    /// sign.
    pub(crate) outer: String,
    /// The number of open brackets before the line.
    pub(crate) begins_in: isize,
    /// The number of open brackets after the line, minus those closed but never opened.
    pub(crate) ends_in: isize,
    /// The offset of each word, sign and literal. In a template, only the tokens of its substitutions.
    pub(crate) tokens: Vec<usize>,
}

/// Joins lines without redundant line ends and commas.
pub(crate) fn join<'a>(lines: impl IntoIterator<Item = &'a Code>, syntax: Syntax) -> String {
    let mut joined = String::new();
    let mut lines = lines.into_iter().peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().map_or("", |next| &*next.text);
        let text = syntax.without_comma(&line.text, next);
        joined.push_str(text);
        if !text.ends_with(syntax.line_ends()) && !syntax.goes_on(text, next) {
            joined.push('\n');
        }
    }
    joined
}

/// Returns the stripped lines that contain code.
///
/// # Errors
/// As [`strip`].
pub(crate) fn lines(source: &str, syntax: Syntax) -> Result<Vec<Code>, Refusal> {
    let mut lines: Vec<Code> = Vec::new();
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
                let depth = lines.last().map_or(0, |line| line.ends_in);
                let line =
                    Line::new(rest, syntax, depth).read().map_err(|why| (index + 1, why.to_owned()))?;
                if !line.text.is_empty() {
                    lines.push(Code { number: index + 1, begins_in: depth, ..line });
                }
                break;
            }
        }
    }
    Ok(lines)
}

impl Syntax {
    /// The characters after which a line end is redundant. After `+` and `-`, it separates two signs.
    fn line_ends(self) -> &'static [char] {
        match self {
            Self::JavaScript => &['{', '[', '(', ',', ';', '=', '?', ':', '&', '|', '>'],
            Self::Css => &['{', '}', ',', ';'],
        }
    }

    /// Returns whether the next line continues this one: no statement begins like it.
    fn goes_on(self, line: &str, next: &str) -> bool {
        const SIGNS: [&str; 9] = ["}", ")", "]", "?", ":", "&&", "||", "=", ","];
        // After a number, a dot would be its decimal point.
        let is_member = || next.starts_with('.') && !line.ends_with(|c: char| c.is_ascii_digit());
        self == Self::JavaScript && (SIGNS.iter().any(|sign| next.starts_with(sign)) || is_member())
    }

    /// Returns a line without a last comma that is redundant before the next line. In an array, a comma may stand
    /// for a hole.
    fn without_comma<'a>(self, line: &'a str, next: &str) -> &'a str {
        let closes = self == Self::JavaScript && next.starts_with([')', '}', ']']);
        let without =
            line.strip_suffix(',').filter(|rest| closes && !rest.is_empty() && !rest.ends_with([',', '[']));
        without.unwrap_or(line)
    }

    /// Returns whether a space between these characters is redundant. Removing it never joins two operators: `.` and
    /// `/`, which could be joined, keep theirs, and `+` and `-` beside another of them.
    fn parts(self, before: char, after: char) -> bool {
        const PUNCTUATION: &str = "(){}[];,:?=<>&|!*%^~";
        match self {
            Self::JavaScript => {
                let is_sign = |c| matches!(c, '+' | '-');
                let signs = is_sign(before) != is_sign(after);
                signs || PUNCTUATION.contains(before) || PUNCTUATION.contains(after)
            }
            Self::Css => matches!(before, ':' | ';' | ',' | '{') || after == '{',
        }
    }
}

/// A line of code that is being parsed.
struct Line<'a> {
    rest: std::str::Chars<'a>,
    syntax: Syntax,
    /// The code so far, without redundant characters.
    code: String,
    outer: String,
    depth: isize,
    /// The open braces in the substitutions of templates, the innermost last.
    substitutions: Vec<usize>,
    tokens: Vec<usize>,
}

impl<'a> Line<'a> {
    fn new(line: &'a str, syntax: Syntax, depth: isize) -> Self {
        let (code, outer) = (String::new(), String::new());
        let (substitutions, tokens) = (Vec::new(), Vec::new());
        Self { rest: line.chars(), syntax, code, outer, depth, substitutions, tokens }
    }

    /// Returns the line's code, or why it does not end as code.
    fn read(mut self) -> Result<Code, &'static str> {
        let is_script = self.syntax == Syntax::JavaScript;
        while let Some(next) = self.rest.next() {
            let after = self.rest.as_str();
            match next {
                '/' if is_script && after.starts_with('/') => break,
                '/' if is_script && after.starts_with('*') => {
                    self.skip_comment()?;
                    continue;
                }
                ' ' if self.says_nothing() => continue,
                _ => {}
            }
            let begins_regex = next == '/' && is_script && self.begins_expression();
            if next != ' ' && !(is_word(next) && self.code.ends_with(is_word)) {
                self.tokens.push(self.code.len());
            }
            self.code.push(next);
            self.nest(next);
            match next {
                '"' | '\'' => self.string(next)?,
                '`' if is_script => self.template()?,
                '/' if after.starts_with('*') => self.comment()?,
                '/' if begins_regex => self.regex()?,
                '(' if !is_script && self.code.ends_with("url(") => self.url()?,
                '{' => self.substitutions.last_mut().into_iter().for_each(|open| *open += 1),
                '}' => match self.substitutions.pop() {
                    Some(0) => self.template()?,
                    Some(open) => self.substitutions.push(open - 1),
                    None => {}
                },
                _ => {}
            }
        }
        if !self.substitutions.is_empty() {
            return Err("a template literal spans lines");
        }
        self.code.truncate(self.code.trim_end().len());
        self.outer.truncate(self.outer.trim_end().len());
        let (text, outer, tokens) = (self.code, self.outer, self.tokens);
        Ok(Code { text, outer, ends_in: self.depth, tokens, ..Code::default() })
    }

    /// Counts brackets, except those in the substitutions of templates.
    fn nest(&mut self, next: char) {
        if !self.substitutions.is_empty() {
            return;
        }
        self.depth -= isize::from(matches!(next, ')' | ']' | '}'));
        if self.depth == 0 {
            self.outer.push(next);
        }
        self.depth += isize::from(matches!(next, '(' | '[' | '{'));
    }

    /// Returns whether the last space is redundant.
    fn says_nothing(&self) -> bool {
        let (before, after) = (self.code.chars().next_back(), self.rest.as_str().chars().next());
        before.zip(after).is_none_or(|(before, after)| self.syntax.parts(before, after))
    }

    /// Copies the next character unchanged.
    fn take(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.code.extend(next);
        next
    }

    fn string(&mut self, quote: char) -> Result<(), &'static str> {
        while let Some(next) = self.take() {
            match next {
                '\\' => drop(self.take()),
                _ if next == quote => return Ok(()),
                _ => {}
            }
        }
        Err("a string spans lines")
    }

    /// Copies a template up to its end or its next substitution.
    fn template(&mut self) -> Result<(), &'static str> {
        while let Some(next) = self.take() {
            match next {
                '\\' => drop(self.take()),
                '`' => return Ok(()),
                '$' if self.rest.as_str().starts_with('{') => {
                    self.tokens.push(self.code.len() - 1);
                    self.take();
                    self.substitutions.push(0);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err("a template literal spans lines")
    }

    /// Copies a comment, whose first character has been read.
    fn comment(&mut self) -> Result<(), &'static str> {
        let (comment, after) = self.end_of_comment()?;
        self.code.push_str(comment);
        self.rest = after.chars();
        Ok(())
    }

    /// Skips a comment, whose first character has been read. It separates tokens as a space does.
    fn skip_comment(&mut self) -> Result<(), &'static str> {
        let (_, after) = self.end_of_comment()?;
        self.rest = after.trim_start().chars();
        if !self.code.ends_with(' ') && !self.says_nothing() {
            self.code.push(' ');
            self.nest(' ');
        }
        Ok(())
    }

    fn end_of_comment(&self) -> Result<(&'a str, &'a str), &'static str> {
        let rest = self.rest.as_str();
        let end = rest[1..].find("*/").ok_or("a comment that begins after code spans lines")? + "**/".len();
        Ok(rest.split_at(end))
    }

    fn regex(&mut self) -> Result<(), &'static str> {
        let mut in_class = false;
        while let Some(next) = self.take() {
            match next {
                '\\' => drop(self.take()),
                '[' => in_class = true,
                ']' => in_class = false,
                '/' if !in_class => {
                    while self.rest.as_str().starts_with(is_word) {
                        self.take();
                    }
                    return Ok(());
                }
                _ => {}
            }
        }
        Err("a regular expression does not end; put a division's operands on its line")
    }

    /// Copies an address without quotes, which may contain what looks like a comment.
    fn url(&mut self) -> Result<(), &'static str> {
        let rest = self.rest.as_str();
        if rest.trim_start().starts_with(['"', '\'']) {
            return Ok(());
        }
        let end = rest.find(')').ok_or("an address spans lines")? + 1;
        self.code.push_str(&rest[..end]);
        self.rest = rest[end..].chars();
        self.depth -= 1;
        Ok(())
    }

    /// Returns whether a slash after the code so far begins a regular expression, which stands where an operand is
    /// expected.
    fn begins_expression(&self) -> bool {
        const WORDS: [&str; 9] = ["return", "typeof", "case", "in", "of", "void", "delete", "yield", "await"];
        let before = self.code.trim_end();
        let of_name = |c: char| is_word(c) || matches!(c, '#' | '.');
        let word = &before[before.trim_end_matches(of_name).len()..];
        WORDS.contains(&word) || (word.is_empty() && !before.ends_with([')', ']', '}', '"', '\'', '`']))
    }
}

/// Returns whether a name may contain this character.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
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
    fn comments_go_and_white_space_that_says_nothing() {
        assert_strips(JavaScript, "// a\nconst a = 1;\n\n  // b\n  a();\n", "const a=1;a();");
        assert_strips(JavaScript, "/**\n * a `b\n * // c\n */\n  a()\r\n", "a()\n");
        assert_strips(JavaScript, "/** @type {a} */ b = null;\n/* a */ // b\n", "b=null;");
        assert_strips(JavaScript, "/* a\n*/ b()\n/*/ c */ d(); // e,\n", "b()\nd();");
        assert_strips(Css, "/* a */\n\n/* b\n   c */\n.d {\n  e: f;\n}\n", ".d{e:f;}");
    }

    #[test]
    fn a_line_that_goes_on_is_joined() {
        for (code, joined) in [
            ("a =\n  b\n    ? c\n    : d;", "a=b?c:d;"),
            ("a\n  .b()\n  ?.c()\n  && d\n  ||\n  e\nf", "a.b()?.c()&&d||e\nf\n"),
            ("a = {\n  b,\n  c,\n};", "a={b,c};"),
            ("a(\n  b,\n);", "a(b);"),
            ("a = [\n  b, ,\n];\nc = [\n  ,\n];", "a=[b,,];c=[,];"),
            ("a = 1\n.b", "a=1\n.b\n"),
            ("a = b +\n  +c", "a=b+\n+c\n"),
            ("a()\n(b)\n[c]", "a()\n(b)\n[c]\n"),
        ] {
            assert_strips(JavaScript, code, joined);
        }
        assert_strips(Css, ".a {\n  b: c;\n}", ".a{b:c;}");
    }

    #[test]
    fn what_only_looks_like_a_comment_stays() {
        for (code, stripped) in [
            ("a = 'http://b.example/*c*/'; // d", "a='http://b.example/*c*/';"),
            ("a = \"it's // no comment\" // `", "a=\"it's // no comment\"\n"),
            ("a = `//${b} /* ${ `${c}//` + {d : ` } `}.d} `", "a=`//${b} /* ${`${c}//`+{d:` } `}.d} `\n"),
            ("a = / \\/\\/ [^/'\"`] , /.test(b)", "a=/ \\/\\/ [^/'\"`] , /.test(b)\n"),
            ("a.split(/[/*]/).map(b => b / 2 / c);", "a.split(/[/*]/).map(b=>b / 2 / c);"),
            (
                "return /` /.test(a) ? a / b : (a) / b['c'] / 'd'",
                "return /` /.test(a)?a / b:(a)/ b['c']/ 'd'\n",
            ),
            ("a = b /* it's */ + c", "a=b +c\n"),
            ("return/* a */b + /* c */+d", "return b+ +d\n"),
            ("this.#of / 2 + '/'; // `", "this.#of / 2+'/';"),
            ("a = ' \\' , //' + '\\\\'", "a=' \\' , //'+'\\\\'\n"),
            ("a - -b + +c - --d . e", "a- -b+ +c- --d . e\n"),
            ("a ? .5 : b ?? c?.[d] in e", "a?.5:b??c?.[d]in e\n"),
            ("if (a) {\n  b();\n} else {\n  c()\n}\nd", "if(a){b();}else{c()}\nd\n"),
        ] {
            assert_strips(JavaScript, code, stripped);
        }
        for (code, stripped) in [
            (".a { background: url(//b.example/*.png); }", ".a{background:url(//b.example/*.png);}"),
            (".a { background: url( \"/*\" ) }", ".a{background:url( \"/*\" ) }"),
            (
                ".a::before { content: \"/* , { it's //\"; } /* b */",
                ".a::before{content:\"/* , { it's //\";} /* b */\n",
            ),
            (".a :hover,\n.b > .c {\n  d: calc(1px + -2px)\n}", ".a :hover,.b > .c{d:calc(1px + -2px)\n}"),
            ("@media (max-width: 7px) and (a) {", "@media (max-width:7px) and (a){"),
        ] {
            assert_strips(Css, code, stripped);
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

//! The names of emoji, for a picker and for `:names:` in a text.

use emojis::Group;

/// The groups in the order of the picker.
const GROUPS: [(Group, &str); 9] = [
    (Group::SmileysAndEmotion, "Smileys & Emotion"),
    (Group::PeopleAndBody, "People & Body"),
    (Group::AnimalsAndNature, "Animals & Nature"),
    (Group::FoodAndDrink, "Food & Drink"),
    (Group::TravelAndPlaces, "Travel & Places"),
    (Group::Activities, "Activities"),
    (Group::Objects, "Objects"),
    (Group::Symbols, "Symbols"),
    (Group::Flags, "Flags"),
];

/// Returns `{"names":["People",…],"codes":"wave.+1,thumbs up.…","signs":"👋 👍 …|…"}`: the names of the groups, the short
/// codes of each emoji, the preferred one first, and the emoji in the same order. Separate lists compress better
/// than pairs, and words better with spaces between them than with `_`. Skin tones, emoji without a short code, and variants
/// of families and other people made of several emoji are left out: the latter would be a tenth of all bytes.
///
/// The emoji and codes need no escapes in JSON: the codes consist of ASCII letters, digits, `_`, `-` and `+`.
pub(crate) fn names() -> String {
    let groups = GROUPS.map(|(group, _)| {
        let emoji = group.emojis().filter(|emoji| group != Group::PeopleAndBody || !is_joined(emoji));
        let (codes, signs): (Vec<String>, Vec<&str>) = emoji.filter_map(named).unzip();
        (codes.join("."), signs.join(" "))
    });
    let names = GROUPS.map(|(_, name)| format!("\"{name}\"")).join(",");
    let (codes, signs): (Vec<_>, Vec<_>) = groups.into_iter().unzip();
    format!(r#"{{"names":[{names}],"codes":"{}","signs":"{}"}}"#, codes.join("."), signs.join("|"))
}

fn named(emoji: &'static emojis::Emoji) -> Option<(String, &'static str)> {
    let codes: Vec<&str> = emoji.shortcodes().collect();
    (!codes.is_empty()).then(|| (codes.join(",").replace('_', " "), emoji.as_str()))
}

fn is_joined(emoji: &emojis::Emoji) -> bool {
    emoji.as_str().contains('\u{200d}')
}

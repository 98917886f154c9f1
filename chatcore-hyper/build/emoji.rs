//! The names of emoji, for a picker and for `:names:` in a text.

use std::fmt::Write as _;

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

/// Returns `{"groups":[{"name":…,"signs":"😀 😄","codes":"grinning,smile happy"},…]}`: the emoji of each group and,
/// in the same order, the short codes of each emoji, the preferred one first. Separate lists compress better than
/// pairs. Skin tones, emoji without a short code, and variants of families and other people made of several emoji
/// are left out: the latter would be a tenth of all bytes.
///
/// The emoji and codes need no escapes in JSON: the codes consist of ASCII letters, digits, `_`, `-` and `+`.
pub(crate) fn names() -> String {
    let mut json = String::from("{\"groups\":[");
    for (index, (group, name)) in GROUPS.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let (signs, codes): (Vec<&str>, Vec<String>) = group
            .emojis()
            .filter(|emoji| group != Group::PeopleAndBody || !is_joined(emoji))
            .filter_map(named)
            .unzip();
        let (signs, codes) = (signs.join(" "), codes.join(","));
        let written = write!(json, r#"{comma}{{"name":"{name}","signs":"{signs}","codes":"{codes}"}}"#);
        written.expect("invariant: a string takes all");
    }
    json.push_str("]}");
    json
}

fn named(emoji: &'static emojis::Emoji) -> Option<(&'static str, String)> {
    let codes: Vec<&str> = emoji.shortcodes().collect();
    (!codes.is_empty()).then(|| (emoji.as_str(), codes.join(" ")))
}

fn is_joined(emoji: &emojis::Emoji) -> bool {
    emoji.as_str().contains('\u{200d}')
}

//! Makes inputs from others: small damage, pieces of a second input, words of the target's language.

use chatcore::testkit::Random;

/// The longest generated input, in bytes.
const MAX_BYTES: usize = 16 * 1024;

/// Numbers at the limits of counters, lengths and signs.
const NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "1e309",
    "127",
    "65536",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
];

/// Pieces that no parser expects.
const ODD: [&[u8]; 12] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\"",
    b"\\",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    "\u{301}".as_bytes(),
    "\u{202e}".as_bytes(),
    "\u{1f469}\u{200d}\u{1f467}".as_bytes(),
    "İ".as_bytes(),
];

/// Returns a new input: one of the pool, changed in a few places.
pub(crate) fn mutated(random: &Random, pool: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = picked(random, pool).to_vec();
    for _ in 0..=random.below(4) {
        change(random, &mut input, pool, words);
    }
    input.truncate(MAX_BYTES);
    input
}

fn change(random: &Random, input: &mut Vec<u8>, pool: &[Vec<u8>], words: &[&str]) {
    let (from, to) = range(random, input.len());
    match random.below(10) {
        0 if from < input.len() => input[from] ^= 1 << random.below(8),
        1 if from < input.len() => input[from] = random.bits() as u8,
        2 => drop(input.drain(from..to)),
        3 => {
            let piece = input[from..to].to_vec();
            insert(random, input, &piece);
        }
        4 => {
            let piece = input[from..to].repeat(1 + random.below(64) as usize);
            insert(random, input, &piece);
        }
        5 => {
            let other = picked(random, pool);
            let (start, end) = range(random, other.len());
            input.splice(from..to, other[start..end].iter().copied());
        }
        6 => insert(random, input, ODD[random.below(ODD.len() as u64) as usize]),
        7 => {
            let number = NUMBERS[random.below(NUMBERS.len() as u64) as usize];
            input.splice(from..to.min(from + 8), number.bytes());
        }
        8 => input.truncate(from),
        _ if !words.is_empty() => {
            let word = words[random.below(words.len() as u64) as usize];
            insert(random, input, word.as_bytes());
        }
        _ => input.push(random.bits() as u8),
    }
}

fn insert(random: &Random, input: &mut Vec<u8>, piece: &[u8]) {
    let at = random.below(input.len() as u64 + 1) as usize;
    let room = MAX_BYTES.saturating_sub(input.len());
    input.splice(at..at, piece[..piece.len().min(room)].iter().copied());
}

fn picked<'a>(random: &Random, pool: &'a [Vec<u8>]) -> &'a [u8] {
    pool.get(random.below(pool.len() as u64) as usize).map_or(&[], Vec::as_slice)
}

/// Returns a range within `len`, which is more often short than long.
fn range(random: &Random, len: usize) -> (usize, usize) {
    let from = random.below(len as u64 + 1) as usize;
    let most = if random.chance(0.8) { 8 } else { len as u64 };
    (from, len.min(from + random.below(most + 1) as usize))
}

CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE EXTENSION IF NOT EXISTS btree_gin;
-- Folds a text as a search compares it: without accents and characters that show nothing, then without case, in the root
-- locale of ICU whatever the database's, then without the strokes of letters. It may take more texts for the same than
-- the program does, which compares what was found again. An index depends on it: a change of it needs other names.
CREATE OR REPLACE FUNCTION @schema@.chat_fold(p_text text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT normalize(
        replace(replace(translate(
            lower(upper(lower(
                regexp_replace(
                    normalize(p_text, NFKD) COLLATE "C",
                    '[\u00AD\u0300-\u036F\u0483-\u0487\u0591-\u05BD\u05BF\u05C1\u05C2\u05C4\u05C5\u05C7\u0610-\u061C'
                    '\u0640\u064B-\u065F\u0670\u06D6-\u06DC\u06DF-\u06E4\u06E7\u06E8\u06EA-\u06ED\u115F\u1160\u17B4\u17B5'
                    '\u180B-\u180F\u1AB0-\u1AFF\u1DC0-\u1DFF\u200B-\u200F\u202A-\u202E\u2060-\u206F\u20D0-\u20F0\u3164'
                    '\uFE00-\uFE0F\uFE20-\uFE2F\uFEFF\uFFA0\uFFF0-\uFFF8\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A'
                    '\U000E0000-\U000E0FFF]',
                    '', 'g'
                ) COLLATE "und-x-icu"
            ))) COLLATE "C",
            'ςøłđħŧı', 'σoldhti'
        ), 'æ', 'ae'), 'œ', 'oe'),
        NFC
    ) COLLATE "C"
$$;
CREATE INDEX IF NOT EXISTS event_folded ON @schema@.event
    USING gin ((-channel), (@schema@.chat_fold(coalesce(edited_text, text))) gin_trgm_ops)
    WHERE kind < 1 AND NOT deleted;
-- That of earlier versions, which compared in lower case.
DROP INDEX IF EXISTS @schema@.event_search;

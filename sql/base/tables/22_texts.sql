-- Texts by language: what a new company and the generated one are called. One file a language in sql/base/texts/, which every crm.install() reads anew.

CREATE TABLE crm_internal.texts (
    language text NOT NULL,
    area text NOT NULL,
    words jsonb NOT NULL,
    CONSTRAINT texts_pkey PRIMARY KEY (language, area),
    CONSTRAINT texts_language_check CHECK (language ~ '^[a-z]{2}$'),
    CONSTRAINT texts_words_check CHECK (jsonb_typeof(words) = 'object')
);
COMMENT ON TABLE crm_internal.texts IS
'Texts by language: how a company of that language begins (area tenant), what a new company is given (seeds), what documents (documents), pages (reports), '
'work lists (work) and lists of customers (churn) say, what countries are called (countries), and what fills a generated company (company).';
COMMENT ON COLUMN crm_internal.texts.language IS 'Language, ISO 639-1.';
COMMENT ON COLUMN crm_internal.texts.area IS 'What the texts are for: tenant, seeds, documents, reports, company ...';
COMMENT ON COLUMN crm_internal.texts.words IS 'The texts by their name; lists of pairs where each has a weight or a Latin spelling.';

-- Knowledge base: versions, search, and how many tickets it saved.

-- Words, phrases and "or", over folded words or over English stems.
CREATE OR REPLACE FUNCTION crm.words_query(words text) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $$
    -- there is no stemmer for words in Arabic script: their beginnings match, so that plurals and possessives do
    SELECT regexp_replace(websearch_to_tsquery('simple', crm.fold_text(words))::text,
                          '''([^'']*[\u0600-\u06FF][^'']*)''', '''\1'':*', 'g')::tsquery
           || websearch_to_tsquery('english', words)
$$;
COMMENT ON FUNCTION crm.words_query(text) IS
'Query that is met by the folded words, or by the English stems, of a text without exclusions; NULL for NULL.';

CREATE OR REPLACE FUNCTION crm.search_parts(query text)
RETURNS TABLE (wanted text, excluded text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 1
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(m.part[2], ' ' ORDER BY m.place) FILTER (WHERE m.part[1] = ''),
           string_agg(m.part[2], ' or ' ORDER BY m.place) FILTER (WHERE m.part[1] = '-')
    FROM regexp_matches(query, '(-?)("[^"]*"?|\S+)', 'g') WITH ORDINALITY AS m (part, place)
$$;
COMMENT ON FUNCTION crm.search_parts(text) IS 'What a query asks for, and what it excludes (any of it); NULL where there is none.';

CREATE OR REPLACE FUNCTION crm.search_query(query text) RETURNS tsquery
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    -- what is excluded is taken out first: a text is out if it has the word in either form, and an "or" of the two
    -- forms of a whole query would ask for both
    SELECT CASE WHEN t.wanted IS NULL THEN !! crm.words_query(t.excluded)
                WHEN t.excluded IS NULL THEN crm.words_query(t.wanted)
                ELSE crm.words_query(t.wanted) && !! crm.words_query(t.excluded) END
    FROM crm.search_parts(query) AS t
    WHERE t.wanted IS NOT NULL OR t.excluded IS NOT NULL
$$;
COMMENT ON FUNCTION crm.search_query(text) IS
'A query as for a search engine (words, "phrases", or, -excluded), over folded words and English stems; what is excluded is excluded in either form.'
    ' NULL where there is nothing to look for.';

CREATE OR REPLACE FUNCTION crm.write_article(
    code text, title text, body text, language text DEFAULT 'en', visibility text DEFAULT NULL,
    product_id bigint DEFAULT NULL, tags text[] DEFAULT NULL, publish boolean DEFAULT false)
RETURNS crm.article_versions
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    article crm.articles;
    made crm.article_versions;
BEGIN
    INSERT INTO crm.articles AS a (tenant_id, code, visibility, product_id, tags, owner_id)
    VALUES (t, write_article.code, coalesce(write_article.visibility, 'internal'), write_article.product_id,
            coalesce(write_article.tags, '{}'), crm.user_id())
    -- the row is locked by this, so two writers make two versions
    ON CONFLICT ON CONSTRAINT articles_code_key DO UPDATE
        SET visibility = coalesce(write_article.visibility, a.visibility),
            product_id = coalesce(write_article.product_id, a.product_id),
            tags = coalesce(write_article.tags, a.tags),
            updated_at = now()
    RETURNING a.* INTO article;
    INSERT INTO crm.article_versions AS v (tenant_id, article_id, language, number, title, body, author_id)
    VALUES (t, article.id, write_article.language,
            1 + coalesce((SELECT max(o.number) FROM crm.article_versions AS o
                          WHERE o.tenant_id = t AND o.article_id = article.id AND o.language = write_article.language), 0),
            write_article.title, write_article.body, crm.user_id())
    RETURNING v.* INTO made;
    IF publish THEN
        made := crm.publish_article(write_article.code, made.language, made.number);
    END IF;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.write_article(text, text, text, text, text, bigint, text[], boolean) IS
'Writes a new version of an article, and the article itself where the code is new; visibility, product and tags stay as they are unless given (a new '
'article is internal). Returns the version.';

CREATE OR REPLACE FUNCTION crm.publish_article(code text, language text DEFAULT 'en', number integer DEFAULT NULL)
RETURNS crm.article_versions
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    article bigint;
    wanted integer;
    made crm.article_versions;
BEGIN
    UPDATE crm.articles AS a SET state = 'published', updated_at = now()
    WHERE a.tenant_id = t AND a.code = publish_article.code
    RETURNING a.id INTO article;
    SELECT v.number INTO wanted FROM crm.article_versions AS v
    WHERE v.tenant_id = t AND v.article_id = article AND v.language = publish_article.language
      AND (publish_article.number IS NULL OR v.number = publish_article.number)
    ORDER BY v.number DESC LIMIT 1;
    IF wanted IS NULL THEN
        RAISE EXCEPTION 'article "%" has no such version in language "%"', publish_article.code, publish_article.language
            USING ERRCODE = 'no_data_found', HINT = 'crm.article_versions lists them.';
    END IF;
    UPDATE crm.article_versions AS v SET is_published = false
    WHERE v.tenant_id = t AND v.article_id = article AND v.language = publish_article.language AND v.is_published;
    UPDATE crm.article_versions AS v SET is_published = true, published_at = now()
    WHERE v.tenant_id = t AND v.article_id = article AND v.language = publish_article.language AND v.number = wanted
    RETURNING v.* INTO made;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.publish_article(text, text, integer) IS
'Makes a version (the newest unless given) the one that is read in its language, and returns it. An older number brings an older text back. Errors: '
'P0002 where there is no such version.';

CREATE OR REPLACE FUNCTION crm_internal.articles_archived()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- no language is read any more: publishing one later brings back that one alone
    UPDATE crm.article_versions AS v SET is_published = false
    WHERE v.tenant_id = NEW.tenant_id AND v.article_id = NEW.id AND v.is_published;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION crm_internal.articles_archived() IS 'Row trigger: texts of an article that is archived, by whatever statement, are published no more.';
CREATE OR REPLACE TRIGGER articles_after_archived AFTER UPDATE ON crm.articles
    FOR EACH ROW WHEN (NEW.state = 'archived' AND OLD.state <> 'archived') EXECUTE FUNCTION crm_internal.articles_archived();

CREATE OR REPLACE FUNCTION crm.archive_article(code text)
RETURNS crm.articles
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    changed crm.articles;
BEGIN
    UPDATE crm.articles AS a SET state = 'archived', updated_at = now()
    WHERE a.tenant_id = crm.tenant_id() AND a.code = archive_article.code
    RETURNING a.* INTO changed;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no article "%"', code
            USING ERRCODE = 'no_data_found', HINT = 'crm.articles lists the codes.';
    END IF;
    RETURN changed;
END
$$;
COMMENT ON FUNCTION crm.archive_article(text) IS 'Takes an article out of every search, in all its languages; its versions are kept.'
    ' Publishing a language later brings back that language alone. Returns it. Errors: P0002 for an unknown code.';

CREATE OR REPLACE FUNCTION crm.search_articles(
    query text, visible_to text DEFAULT 'public', in_language text DEFAULT NULL, product_id bigint DEFAULT NULL,
    max_rows integer DEFAULT 10)
RETURNS TABLE (article_id bigint, code text, language text, title text, visibility text, rank real, snippet text)
LANGUAGE plpgsql STABLE ROWS 10
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t CONSTANT bigint := crm.tenant_id();
    q CONSTANT tsquery := crm.search_query(search_articles.query);
    seen CONSTANT text[] := CASE search_articles.visible_to
        WHEN 'public' THEN '{public}' WHEN 'customers' THEN '{public,customers}' WHEN 'internal' THEN '{public,customers,internal}' END;
BEGIN
    IF seen IS NULL THEN
        RAISE EXCEPTION 'unknown visibility "%"', search_articles.visible_to
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Say public, customers or internal.';
    END IF;
    RETURN QUERY
        SELECT a.id, a.code, v.language, v.title, a.visibility, ts_rank(v.search, q) AS rank,
               ts_headline('simple', left(v.body, 5000), q, 'StartSel=«, StopSel=», MaxWords=25, MinWords=10')
        FROM crm.article_versions AS v
        JOIN crm.articles AS a ON a.tenant_id = t AND a.id = v.article_id
        WHERE v.tenant_id = t AND v.is_published AND v.search @@ q
          AND a.state = 'published' AND a.visibility = ANY (seen)
          AND (search_articles.in_language IS NULL OR v.language = search_articles.in_language)
          AND (search_articles.product_id IS NULL OR a.product_id = search_articles.product_id)
        ORDER BY 6 DESC, a.code, v.language
        LIMIT max_rows;
END
$$;
COMMENT ON FUNCTION crm.search_articles(text, text, text, bigint, integer) IS
'Published articles that match, best first, as far as visible_to: public; customers (public ones as well); internal (all). The query is written as for '
'a search engine: words, "phrases", or, -not. Spellings of Persian and Arabic letters and digits meet, beginnings of Persian words match, English '
'words match by their stem. Errors: 22023 for an unknown visibility.';
SELECT crm.declare_api('crm.search_articles', '{"query": "printer fire"}');

CREATE OR REPLACE FUNCTION crm.record_deflection(
    article_id bigint, outcome text, contact_id bigint DEFAULT NULL, ticket_id bigint DEFAULT NULL, query text DEFAULT NULL)
RETURNS crm.article_deflections
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    made crm.article_deflections;
BEGIN
    INSERT INTO crm.article_deflections AS d (tenant_id, article_id, contact_id, ticket_id, query, outcome)
    VALUES (crm.tenant_id(), record_deflection.article_id, record_deflection.contact_id, record_deflection.ticket_id,
            record_deflection.query, record_deflection.outcome)
    RETURNING d.* INTO made;
    RETURN made;
END
$$;
COMMENT ON FUNCTION crm.record_deflection(bigint, text, bigint, bigint, text) IS
'Notes what came of an article: viewed, solved (no ticket was needed), not_solved (one was opened all the same), linked (an agent answered with it). '
'Returns the note. Errors: 23503 for an unknown article, 23514 for an unknown outcome.';

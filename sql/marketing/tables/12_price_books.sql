-- Price books that are for a segment: the column stands with the books, what it refers to in this room.
ALTER TABLE crm.price_books
    ADD CONSTRAINT price_books_segment_id_fkey FOREIGN KEY (tenant_id, segment_id) REFERENCES crm.segments (tenant_id, id);
CREATE INDEX price_books_segment_id_idx ON crm.price_books (tenant_id, segment_id) WHERE segment_id IS NOT NULL;

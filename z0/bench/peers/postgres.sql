-- The peer: reservations against accounts in Postgres. A row lock per account, a primary key on the ids.
CREATE TABLE accounts (
    account text PRIMARY KEY,
    balance numeric NOT NULL,
    reserved numeric NOT NULL DEFAULT 0,
    CHECK (reserved <= balance)
) WITH (fillfactor = 50);  -- room for the next version of a row on its own page

CREATE TABLE reservations (
    id text PRIMARY KEY,
    account text NOT NULL,
    amount numeric NOT NULL,
    outcome text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);

-- One command; a repeat gets its first outcome.
CREATE FUNCTION reserve(given_id text, given_account text, given_amount numeric) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    available numeric;
    decided text;
BEGIN
    SELECT a.balance - a.reserved INTO available FROM accounts a WHERE a.account = given_account FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'unknown_entity';
    END IF;
    SELECT r.outcome INTO decided FROM reservations r WHERE r.id = given_id;
    IF FOUND THEN
        RETURN decided;
    END IF;
    decided := CASE WHEN given_amount <= available THEN 'accepted' ELSE 'budget_exhausted' END;
    IF decided = 'accepted' THEN
        UPDATE accounts a SET reserved = a.reserved + given_amount WHERE a.account = given_account;
    END IF;
    INSERT INTO reservations (id, account, amount, outcome) VALUES (given_id, given_account, given_amount, decided);
    RETURN decided;
END $$;

-- Many commands, by sets where all of them are new and fit, and one after the other where not; the outcomes in their order.
CREATE FUNCTION reserve_many(ids text[], account_ids text[], amounts numeric[]) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    inserted bigint;
    outcomes text[];
BEGIN
    -- in one order, or two batches would wait for each other in a circle
    PERFORM 1 FROM accounts a WHERE a.account = ANY (account_ids) ORDER BY a.account FOR UPDATE;
    BEGIN
        WITH fresh AS (
            INSERT INTO reservations (id, account, amount, outcome)
            SELECT t.id, t.account, t.amount, 'accepted' FROM unnest(ids, account_ids, amounts) AS t (id, account, amount)
            RETURNING account, amount
        ), updated AS (
            UPDATE accounts a SET reserved = a.reserved + s.total
            FROM (SELECT f.account, sum(f.amount) AS total, count(*) AS n FROM fresh f GROUP BY f.account) s
            WHERE a.account = s.account
            RETURNING s.n
        )
        SELECT sum(u.n) INTO inserted FROM updated u;
        IF inserted = cardinality(ids) THEN
            RETURN array_fill('accepted'::text, ARRAY[cardinality(ids)]);
        END IF;
        RAISE foreign_key_violation;  -- an account is unknown: undo what this block did
    EXCEPTION WHEN check_violation OR unique_violation OR foreign_key_violation THEN
        FOR n IN 1 .. cardinality(ids) LOOP
            outcomes[n] := reserve(ids[n], account_ids[n], amounts[n]);
        END LOOP;
        RETURN outcomes;
    END;
END $$;

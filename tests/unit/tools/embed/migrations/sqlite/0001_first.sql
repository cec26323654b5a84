create table t (id integer);
-- in the text

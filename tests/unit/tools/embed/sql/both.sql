-- Why there is such a statement.
--  And more about it.

select 'a "quote", a \ and a ??/ -- no comment'
  from t -- this comment stays
 where id = $1;


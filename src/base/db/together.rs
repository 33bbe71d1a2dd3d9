//! Several reads as one statement, which diesel cannot build: a page that needs rows of several tables sends one
//! statement and waits for one answer. Called by the queries of the pages' records.
//!
//! Invariant: each row of the answer belongs to one read. The columns of the other reads are NULL in it.

use diesel::{
    QueryResult, RunQueryDsl, Selectable,
    backend::Backend,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
};

/// Runs several reads as one statement. Each read must select one nullable tuple, such as
/// `(columns::<Row>(), …).nullable()`, because it is NULL in the rows of the other reads. The order of the rows is lost.
#[derive(Debug, Clone, Copy, QueryId)]
pub struct Together<Reads>(pub Reads);

impl<Reads, Conn> RunQueryDsl<Conn> for Together<Reads> {}

/// The first `MOST` rows of a read. SQLite compiles a statement anew on each use if its `LIMIT` is a parameter, so this
/// writes the number into the statement.
#[derive(Debug, Clone, Copy, QueryId)]
pub struct First<Read, const MOST: u16>(pub Read);

/// The first `MOST` rows of `read`; see `First`.
pub fn first_of<const MOST: u16, Read>(read: Read) -> First<Read, MOST> {
    First(read)
}

impl<Read: Query, const MOST: u16> Query for First<Read, MOST> {
    type SqlType = Read::SqlType;
}
impl<Read, Conn, const MOST: u16> RunQueryDsl<Conn> for First<Read, MOST> {}

impl<Read, Engine, const MOST: u16> QueryFragment<Engine> for First<Read, MOST>
where
    Engine: Backend,
    Read: QueryFragment<Engine>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Engine>) -> QueryResult<()> {
        self.0.walk_ast(out.reborrow())?;
        out.push_sql(" LIMIT ");
        out.push_sql(&MOST.to_string());
        Ok(())
    }
}

/// The columns of `Row`. Unlike `Row::as_select()`, they can be part of a nullable tuple.
pub fn columns<Row: Selectable<Pg>>() -> Row::SelectExpression {
    Row::construct_selection()
}

/// Sorts the rows of [`Together`] by the read that they belong to.
pub fn apart<Rows: Apart>(rows: Vec<Rows>) -> Rows::Parts {
    Rows::apart(rows)
}

/// A row of [`Together`].
pub trait Apart: Sized {
    /// The rows of each read.
    type Parts;
    fn apart(rows: Vec<Self>) -> Self::Parts;
}

macro_rules! together {
    ($first:ident $first_field:tt $first_row:ident $(, $read:ident $field:tt $row:ident)+) => {
        impl<$first: Query, $($read: Query),+> Query for Together<($first, $($read),+)> {
            type SqlType = ($first::SqlType, $($read::SqlType),+);
        }

        impl<Engine, $first, $($read),+> QueryFragment<Engine> for Together<($first, $($read),+)>
        where
            Engine: Backend,
            $first: QueryFragment<Engine>,
            $($read: QueryFragment<Engine>),+
        {
            fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Engine>) -> QueryResult<()> {
                out.push_sql("SELECT * FROM (");
                self.0.$first_field.walk_ast(out.reborrow())?;
                out.push_sql(concat!(") AS part_", stringify!($first_field)));
                $(
                    out.push_sql(" FULL JOIN (");
                    self.0.$field.walk_ast(out.reborrow())?;
                    out.push_sql(concat!(") AS part_", stringify!($field), " ON FALSE"));
                )+
                Ok(())
            }
        }

        impl<$first_row, $($row),+> Apart for (Option<$first_row>, $(Option<$row>),+) {
            type Parts = (Vec<$first_row>, $(Vec<$row>),+);

            fn apart(rows: Vec<Self>) -> Self::Parts {
                let mut parts = (Vec::<$first_row>::new(), $(Vec::<$row>::new()),+);
                for row in rows {
                    parts.$first_field.extend(row.$first_field);
                    $(parts.$field.extend(row.$field);)+
                }
                parts
            }
        }
    };
}

together!(A 0 RowA, B 1 RowB);
together!(A 0 RowA, B 1 RowB, C 2 RowC);
together!(A 0 RowA, B 1 RowB, C 2 RowC, D 3 RowD);
together!(A 0 RowA, B 1 RowB, C 2 RowC, D 3 RowD, F 4 RowF);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_are_sorted_by_their_read() {
        let rows = vec![(Some(1), None, None), (None, Some("a"), None), (Some(2), None, None), (None, None, Some('z'))];
        assert_eq!(apart(rows), (vec![1, 2], vec!["a"], vec!['z']));
    }
}

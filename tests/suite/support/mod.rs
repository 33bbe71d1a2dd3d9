//! What the cases share: databases of their own, a served program, a client with cookies.

mod client;
mod database;
mod server;
pub mod statements;

pub use self::{
    client::{Answer, Client},
    database::{Engine, TestDb, add_events, eventually},
    server::{Server, add_user, command, sessile},
};

/// A password that may be chosen.
pub const PASSWORD: &str = "correct horse battery staple";

/// Makes a test of each case on each engine: `on_both_engines! { case_one, case_two }`, where each case is an
/// `async fn(TestDb)`.
macro_rules! on_both_engines {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $case() { $crate::support::run($crate::support::Engine::Sqlite, super::$case); })+
        }
        mod postgres {
            $(
                #[test]
                #[ignore = "needs PostgreSQL: run ./scripts/test"]
                fn $case() { $crate::support::run($crate::support::Engine::Postgres, super::$case); }
            )+
        }
    };
}
pub(crate) use on_both_engines;

/// Runs an async case on a database of its own.
pub fn run<Case, Work>(engine: Engine, case: Case)
where
    Case: FnOnce(TestDb) -> Work,
    Work: Future<Output = ()>,
{
    let db = TestDb::new(engine);
    actix_web::rt::System::new().block_on(case(db));
}

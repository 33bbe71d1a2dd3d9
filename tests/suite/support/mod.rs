//! Helpers that the cases share: databases, a served program, a client with cookies.

mod accounts;
mod app;
pub mod citus;
mod client;
mod database;
mod forget;
mod port;
mod served;
mod server;
pub mod statements;
mod template;

pub use self::{
    accounts::add_user,
    app::App,
    client::{Answer, Client},
    database::{Engine, TestDb, add_events, eventually},
    port::lasting_port,
    served::Served,
    server::{Server, command, sessile},
};

/// A password that the rules accept.
pub const PASSWORD: &str = "correct horse battery staple";

/// Makes a test of each case for each engine: `on_both_engines! { case_one, case_two }`, where each case is an `async
/// fn(TestDb)`.
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

/// Like [`on_both_engines`], and a test of each case on distributed tables, if `SESSILE_TEST_CITUS` names a cluster.
macro_rules! on_both_engines_and_citus {
    ($($case:ident),+ $(,)?) => {
        $crate::support::on_both_engines! { $($case),+ }
        mod citus {
            $(
                #[test]
                #[ignore = "needs Citus: see docs/scaling.md"]
                fn $case() { $crate::support::run_on_citus(super::$case); }
            )+
        }
    };
}
pub(crate) use on_both_engines_and_citus;

/// Runs an async case with a database whose tables are distributed.
#[expect(clippy::print_stdout, reason = "says what was not checked")]
pub fn run_on_citus<Case, Work>(case: Case)
where
    Case: FnOnce(TestDb) -> Work,
    Work: Future<Output = ()>,
{
    match TestDb::on_citus() {
        Some(db) => actix_web::rt::System::new().block_on(case(db)),
        None => println!("NOT CHECKED: SESSILE_TEST_CITUS names no cluster"),
    }
}

/// Runs an async case with its own database.
pub fn run<Case, Work>(engine: Engine, case: Case)
where
    Case: FnOnce(TestDb) -> Work,
    Work: Future<Output = ()>,
{
    let db = TestDb::new(engine);
    actix_web::rt::System::new().block_on(case(db));
}

/// Whether to run the long version of a case.
#[expect(clippy::disallowed_methods, reason = "the tests' own setting, not the product's")]
pub fn is_long() -> bool {
    std::env::var("SESSILE_TEST_LONG").is_ok()
}

//! Floor 7: the command line. A match over commands; each has its file.

mod audit;
mod bench;
mod cache;
mod check;
mod complexity;
mod definitions;
mod gateway;
mod index;
mod index_bench;
mod index_check;
mod judge;
mod model;
mod model_bench;
mod objects;
mod progress;
mod providers;
mod replay;
mod replay_args;
mod replay_vectors;
mod rows;
mod serve;
mod topics;
mod usage;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// An AI gateway that pays for each answer once.
///
/// askonce stands in front of LLM providers, speaks the OpenAI API, and answers a question again from its own memory
/// when it has been asked before, in these or in other words.
#[derive(Parser)]
#[command(name = "askonce", version, about, long_about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::ServeArgs),
    Check(check::CheckArgs),
    Providers(providers::ProvidersArgs),
    #[command(subcommand)]
    Model(model::ModelCommand),
    #[command(subcommand)]
    Index(index::IndexCommand),
    #[command(subcommand)]
    Judge(judge::JudgeCommand),
    #[command(subcommand)]
    Topics(topics::TopicsCommand),
    #[command(subcommand)]
    Complexity(complexity::ComplexityCommand),
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    #[command(subcommand)]
    Config(definitions::ConfigCommand),
    #[command(subcommand)]
    Key(objects::KeyCommand),
    /// Organisations of a gateway that runs.
    #[command(subcommand)]
    Organisation(objects::AccountCommand),
    /// Customers of a gateway that runs.
    #[command(subcommand)]
    Customer(objects::AccountCommand),
    /// Teams of a gateway that runs.
    #[command(subcommand)]
    Team(objects::AccountCommand),
    /// Users of a gateway that runs.
    #[command(subcommand)]
    User(objects::AccountCommand),
    #[command(subcommand)]
    Budget(objects::BudgetCommand),
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    #[command(subcommand)]
    Usage(usage::UsageCommand),
    Replay(Box<replay::ReplayArgs>),
    Bench(Box<bench::BenchArgs>),
    /// The mock provider of `bench`.
    #[command(hide = true)]
    BenchUpstream(bench::UpstreamArgs),
}

/// Runs the command that the command line names.
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(&args),
        Command::Providers(args) => providers::run(&args),
        Command::Model(command) => model::run(command),
        Command::Index(command) => index::run(&command),
        Command::Judge(command) => judge::run(&command),
        Command::Topics(command) => topics::run(&command),
        Command::Complexity(command) => complexity::run(&command),
        Command::Cache(command) => cache::run(command),
        Command::Config(command) => definitions::run(command),
        Command::Key(command) => objects::key(command),
        Command::Organisation(command) => objects::account(command, "organisation"),
        Command::Customer(command) => objects::account(command, "customer"),
        Command::Team(command) => objects::account(command, "team"),
        Command::User(command) => objects::account(command, "user"),
        Command::Budget(command) => objects::budget(command),
        Command::Audit(command) => audit::run(command),
        Command::Usage(command) => usage::run(command),
        Command::Replay(args) => replay::run(&args),
        Command::Bench(args) => bench::run(*args).map_err(|error| error.to_string()),
        Command::BenchUpstream(args) => bench::run_upstream(args).map_err(|error| error.to_string()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("askonce: {error}");
        ExitCode::FAILURE
    })
}

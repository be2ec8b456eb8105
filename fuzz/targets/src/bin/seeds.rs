//! Writes the seeds of every target into its corpus: `cargo run -p fuzz-targets --bin seeds`.
#![expect(clippy::print_stdout, reason = "a command line tool talks on standard output")]

use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    for target in fuzz_targets::TARGETS {
        let folder = corpora.join(target.name);
        std::fs::create_dir_all(&folder)?;
        let seeds = fuzz_targets::seeds::of(target.name);
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:02}")), seed)?;
        }
        println!("{}: {} seeds", target.name, seeds.len());
    }
    Ok(())
}

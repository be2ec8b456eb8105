//! Writes the seeds of every target beside what fuzzing has grown: `cargo run -p fuzz-targets --bin seeds`. Which of all these inputs are committed is for
//! `cargo xtask fuzz --minimize` to choose, within the bounds of a corpus.
#![expect(clippy::print_stdout, reason = "a command line tool talks on standard output")]

use std::path::Path;

fn main() -> std::io::Result<()> {
    let grown = Path::new(env!("CARGO_MANIFEST_DIR")).join("../artifacts/corpus");
    for target in fuzz_targets::TARGETS {
        let folder = grown.join(target.name);
        std::fs::create_dir_all(&folder)?;
        let seeds = fuzz_targets::seeds::of(target.name);
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:02}")), seed)?;
        }
        println!("{}: {} seeds", target.name, seeds.len());
    }
    Ok(())
}

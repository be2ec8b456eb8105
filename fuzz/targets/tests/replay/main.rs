//! Every file of the corpora, and every input that once broke something, through its target.

#[cfg(test)]
mod replay;

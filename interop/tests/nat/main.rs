//! Peers in two homes behind nftables' NATs, with coturn on the internet between them. Needs root, as network namespaces do.

#[cfg(test)]
mod homes;

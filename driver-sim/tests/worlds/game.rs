//! The example of a game server and its players.

#[path = "../../examples/game_world.rs"]
mod game_world;

#[test]
fn fifty_players_see_a_hundred_states_each_within_ten_seconds_of_virtual_time() {
    game_world::main().unwrap();
}

#[test]
fn the_example_has_no_more_than_40_lines() {
    assert!(include_str!("../../examples/game_world.rs").lines().count() <= 40);
}

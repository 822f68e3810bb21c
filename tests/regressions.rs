//! One file for every bug that was fixed.

#[path = "regressions/asterisk_as_path.rs"]
mod asterisk_as_path;
#[path = "regressions/authorized_answer_ends_sharing.rs"]
mod authorized_answer_ends_sharing;
#[path = "regressions/bad_request_takes_the_object.rs"]
mod bad_request_takes_the_object;
#[path = "regressions/chunked_part_is_short.rs"]
mod chunked_part_is_short;
#[path = "regressions/connect_with_content.rs"]
mod connect_with_content;
#[path = "regressions/delete_during_a_fill.rs"]
mod delete_during_a_fill;
#[path = "regressions/door_refusal_reaches_a_site.rs"]
mod door_refusal_reaches_a_site;
#[path = "regressions/head_with_unkeyed_fields.rs"]
mod head_with_unkeyed_fields;
#[path = "regressions/head_without_body.rs"]
mod head_without_body;
#[path = "regressions/length_of_an_interim_answer.rs"]
mod length_of_an_interim_answer;
#[path = "regressions/multipart_in_place_of_a_piece.rs"]
mod multipart_in_place_of_a_piece;
#[path = "regressions/not_modified_with_another_vary.rs"]
mod not_modified_with_another_vary;
#[path = "regressions/not_modified_with_private_fields.rs"]
mod not_modified_with_private_fields;
#[path = "regressions/post_with_unkeyed_fields.rs"]
mod post_with_unkeyed_fields;
#[path = "regressions/private_not_modified_is_shared.rs"]
mod private_not_modified_is_shared;
#[path = "regressions/private_piece_cuts_others.rs"]
mod private_piece_cuts_others;
#[path = "regressions/redirected_object_as_the_sites.rs"]
mod redirected_object_as_the_sites;
#[path = "regressions/refused_range_ends_pieces.rs"]
mod refused_range_ends_pieces;
#[path = "regressions/refused_range_is_stored.rs"]
mod refused_range_is_stored;
#[path = "regressions/rule_dot_segments.rs"]
mod rule_dot_segments;
#[path = "regressions/rule_path_spelling.rs"]
mod rule_path_spelling;
#[path = "regressions/rule_server_spelling.rs"]
mod rule_server_spelling;
#[path = "regressions/session_backlog_at_stop.rs"]
mod session_backlog_at_stop;
#[path = "regressions/session_output_is_bounded.rs"]
mod session_output_is_bounded;
#[path = "regressions/session_secrets_in_memory.rs"]
mod session_secrets_in_memory;
#[path = "regressions/site_encoded_dot_segments.rs"]
mod site_encoded_dot_segments;
#[path = "regressions/site_listener_after_reload.rs"]
mod site_listener_after_reload;
#[path = "regressions/site_object_behind_a_proxy.rs"]
mod site_object_behind_a_proxy;
#[path = "regressions/site_object_by_other_doors.rs"]
mod site_object_by_other_doors;
#[path = "regressions/underscored_fields.rs"]
mod underscored_fields;
#[path = "regressions/unkeyed_spellings.rs"]
mod unkeyed_spellings;
#[path = "regressions/unsafe_method_during_a_fill.rs"]
mod unsafe_method_during_a_fill;
#[path = "regressions/user_in_authority.rs"]
mod user_in_authority;

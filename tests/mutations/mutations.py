"""What is taken out, and the tests that must notice: test -> what its failure must say (a pattern for one line of it), so that it
fails for the reason meant.

The first part follows design.md's list of wounds: every test named after one stands here (run --check sees to that). The second
holds other promises. A new mechanism that a test claims to prove gets its line here."""

from edit import body, define, first, swap


class Mutation:
    def __init__(self, name, edits, tests, vm=False):
        self.name, self.edits, self.tests, self.vm = name, edits, tests, vm

    def apply(self, tree):
        for e in self.edits:
            e(tree)


def each_container(code):
    """Statements for berthd, for every container c_."""
    return ("{ struct table_node *n_; list_each (n_, &sv->containers.all, link) { "
            "struct container *c_ = container_of(n_, struct container, node); %s } }" % code)


MUTATIONS = [
    # ------------------------------------------------------------ 2: crash, restart, upgrade
    Mutation("2: a shim ends when berthd does",
             [swap("shim/link/drop", "if (s->run.state == SHIM__SHIM_STATE__SHIM_IDLE)")],
             {"test_pain_2_readopt_after_kill_9_same_pid_and_uninterrupted_counter": "'shim_pid': 0}|'pid': 0}",
              "test_pain_2_stop_of_berthd_leaves_terminals_running": "'tick.* in the log of|it goes on writing"}),
    Mutation("2: shims that live at the start are ended, not taken back",
             [swap("adopt_all", "adopt_container(rc, container_of(n, struct container, node));", "stranger_meet(sv, entry->d_name);")],
             {"test_pain_2_readopt_after_kill_9_same_pid_and_uninterrupted_counter": "'shim_pid': 0}|'pid': 0}",
              "test_pain_2_upgrade_by_sighup_with_a_running_wait_and_logs_follow": "KeyError: 'pid'|assert"}),
    Mutation("2: an orderly end of berthd ends its containers",
             [first("supervisor_close", each_container("container_group_kill(c_);"))],
             {"test_pain_2_stop_of_berthd_leaves_terminals_running": "'tick.* in the log of|it goes on writing",
              "test_readopt_after_sigterm_of_berthd": "assert .* in|KeyError: 'pid'",
              "test_pain_2_upgrade_by_sighup_with_a_running_wait_and_logs_follow": "KeyError: 'pid'|assert"}),

    # ------------------------------------------------------------ 3: nothing is left
    Mutation("3: groups are not removed",
             [body("cg_bury")],
             {"test_pain_3_fifty_lives_leave_nothing": "cgroup shared/",
              "test_pain_3_failed_starts_leave_nothing": "cgroup shared/",
              "test_pain_3_kill_loop_leaves_nothing_and_disturbs_only_whose_shim_was_shot": "cgroup shared/",
              "test_pain_3_what_an_earlier_berthd_left_on_disk_and_in_the_tree_is_swept": "TimeoutExpired"}),
    Mutation("3: the folder of a removed container stays",
             [swap("folder_rename", "rename(m->from, m->to)", "0")],
             {"test_pain_3_fifty_lives_leave_nothing": "/containers/"}),
    Mutation("3: what failed to start, and was to be gone then, stays",
             [swap("act_failed", "if (c->obj->start_or_remove)", "if (0)"),
              swap("act_failed", "if (c->by_person && c->obj->spec->auto_remove)", "if (0)")],
             {"test_pain_3_failed_starts_leave_nothing": "it is gone again"}),
    Mutation("3: no look for groups of nothing at the start",
             [swap("sweep_all", "cg_each_child(sv->cg.shared_fd, sweep_pod, sv);")],
             {"test_pain_3_what_an_earlier_berthd_left_on_disk_and_in_the_tree_is_swept": "TimeoutExpired"}),
    Mutation("3: no look for folders of nothing at the start",
             [swap("sweep_all", 'sweep_folders(sv, "containers", &sv->containers);')],
             {"test_pain_3_what_an_earlier_berthd_left_on_disk_and_in_the_tree_is_swept": "the folder is gone"}),
    Mutation("3: no look for records of nothing at the start",
             [swap("sweep_all", "sweep_exits(sv);")],
             {"test_pain_3_what_an_earlier_berthd_left_on_disk_and_in_the_tree_is_swept": "exits/11111111"}),
    Mutation("3: shims of nothing are left running",
             [body("stranger_meet"), swap("sweep_all", "cg_each_pid(sv->cg.shims_fd, false, sweep_shim, sv);")],
             {"test_pain_3_kill_loop_leaves_nothing_and_disturbs_only_whose_shim_was_shot": "berth-shim|shims/"}),

    # ------------------------------------------------------------ 4: one stuck container
    Mutation("4: berthd waits for what it has killed",
             [swap("container_kill_all", "container_group_kill(c);",
                   "container_group_kill(c); for (int i_ = 0; i_ < 5000 && container_group_populated(c); i_++) usleep(1000);")],
             {"test_pain_4_container_in_state_d_delays_nobody_and_is_reported": r"assert \d[\d.]+ < \d"}),
    Mutation("4: what does not die is not told",
             [body("container_stuck", "c->phase = PHASE_STUCK;")],
             {"test_pain_4_container_in_state_d_delays_nobody_and_is_reported": "inspect says that it is stuck"}),
    Mutation("4: at the start every shim is waited for",
             [define("supervisor", "QUIET_NS", "(60 * NS_PER_S)")],
             {"test_pain_4_a_shim_that_does_not_answer_delays_nobody_else": "berthd answers"}),
    Mutation("4: a request to a shim waits for its answer",
             [swap("shimlink_send", "return peer_send(&s->peer, data, len, fds, n_fds);",
                   "int r_ = peer_send(&s->peer, data, len, fds, n_fds);"
                   " struct pollfd p_ = {.fd = s->peer.source.fd, .events = POLLIN}; poll(&p_, 1, 5000); return r_;")],
             {"test_pain_4_a_shim_that_does_not_answer_delays_nobody_else": r"assert \d[\d.]+ < \d"}),

    # ------------------------------------------------------------ 5: logs and disks
    Mutation("5: a full ring stops the program until the disk works",
             [swap("shim/on_patience", "feed_log(s, true);", "feed_log(s, false);")],
             {"test_pain_5_stalled_log_disk_never_blocks_the_program_and_the_gap_is_recorded": "the program went on"}),
    Mutation("5: what was dropped leaves no gap record",
             [swap("emit_gap", "l->ring.open += log_gap_format(ring_at(&l->ring), l->header, l->gap_lines, l->gap_bytes);")],
             {"test_pain_5_stalled_log_disk_never_blocks_the_program_and_the_gap_is_recorded": "lines and gaps add up"}),
    Mutation("5: what was dropped is not told to berthd",
             [body("report_dropped")],
             {"test_pain_5_stalled_log_disk_never_blocks_the_program_and_the_gap_is_recorded": "log_dropped_lines",
              "test_pain_5_full_log_disk_never_blocks_the_program_and_supervision_goes_on": "the loss is counted"}),
    Mutation("5: writes that fail are not counted",
             [body("shim/lose")],
             {"test_pain_5_full_log_disk_never_blocks_the_program_and_supervision_goes_on": "the loss is counted"}),
    Mutation("5: no restart any more once a write has failed",
             [swap("store_drain", "if (st->error[0] && !failed_before)",
                   'if (st->error[0]) setenv("DISK_FAILED", "1", 1);\n\tif (st->error[0] && !failed_before)'),
              first("container_retry", 'if (getenv("DISK_FAILED")) { container_arm(c, 100 * NS_PER_MS); return S(BACKOFF); }'),
              first("act_timer_retry", 'if (getenv("DISK_FAILED")) { container_arm(c, 100 * NS_PER_MS); return S(BACKOFF); }')],
             {"test_pain_5_full_log_disk_never_blocks_the_program_and_supervision_goes_on": "restarted with a full disk"}),

    # ------------------------------------------------------------ 7: restarts
    Mutation("7: no pause between restarts",
             [body("backoff_ns", "return 0;")],
             {"test_pain_7_a_failing_program_is_no_restart_storm_and_is_never_given_up_silently": r"assert \d+ <= 8",
              "test_pain_7_many_failing_programs_leave_the_supervisor_idle": r"assert .* < 0\.25|starts in 2 s",
              "test_pain_7_the_backoff_is_not_forgotten_with_berthd": "is backoff|assert .* >= "}),
    Mutation("7: the pause does not grow",
             [swap("backoff_ns", "delay *= 2;")],
             {"test_pain_7_a_failing_program_is_no_restart_storm_and_is_never_given_up_silently": r"assert \d+ <= 8"}),
    Mutation("7: nobody says why there is no further restart",
             [swap("decide_stay", 'snprintf(d.why, sizeof d.why, "policy %s: %s, %s", kind, end, why);', "d.why[0] = 0;")],
             {"test_pain_7_a_failing_program_is_no_restart_storm_and_is_never_given_up_silently": "restart_decision|assert None"}),
    Mutation("7: a new berthd begins with the first pause again",
             [swap("supervisor/container_row/load_row", "c->history.failures = c->obj->status->failures_in_row;")],
             {"test_pain_7_the_backoff_is_not_forgotten_with_berthd": "assert .* >= "}),

    # ------------------------------------------------------------ 8: OOM (controllers: in the VM)
    Mutation("8: the shim does not watch the group's OOM counter",
             [body("run_watch_oom")],
             {"test_pain_8_a_childs_oom_kill_is_seen_counted_and_told": "the counter"}, vm=True),
    Mutation("8: an OOM kill is counted and not told",
             [swap("supervisor/report_oom", 'container_publish(c, "oom", "a process of it was killed: out of memory",'
                   ' (const char *const[]){"oom_kills", text, NULL});')],
             {"test_pain_8_a_childs_oom_kill_is_seen_counted_and_told": "the event"}, vm=True),

    # ------------------------------------------------------------ 9: pids
    Mutation("9: signals go to the number that was written down",
             [swap("container_record_exit", "SET(st, pid, 0);"),
              first("supervisor/container/refuse", "if (c->obj->status->pid > 0) kill(c->obj->status->pid, 9);")],
             {"test_pain_9_no_signal_ever_goes_to_a_reused_pid": "assert -9 is None"}),
    Mutation("9: what a row says ran is ended by its number",
             [swap("settle_dead", "happen(c, EV_SHIM_GONE);", "kill(st->pid, 9); kill(st->shim_pid, 9); happen(c, EV_SHIM_GONE);")],
             {"test_pain_9_a_pid_reused_while_berthd_was_dead_is_neither_adopted_nor_killed": r"assert \[-9"}),

    # ------------------------------------------------------------ 10: groups that cannot be removed
    Mutation("10: a group that cannot be removed is forgotten",
             [swap("graveyard_tick", "if (!bury_now(u->root_fd, u->path)) {", "if (bury_now(u->root_fd, u->path), 1) {")],
             {"test_pain_10_a_group_that_cannot_be_removed_is_counted_retried_and_reconciled_at_start": "it is counted|the group is gone"}),
    Mutation("10: a group that cannot be removed is not counted",
             [swap("cg_bury", "g->n++;"), swap("graveyard_tick", "g->n--;")],
             {"test_pain_10_a_group_that_cannot_be_removed_is_counted_retried_and_reconciled_at_start": "it is counted"}),
    Mutation("10: groups of an earlier berthd are not looked for",
             [swap("sweep_all", "cg_each_child(sv->cg.shared_fd, sweep_pod, sv);")],
             {"test_pain_10_a_group_that_cannot_be_removed_is_counted_retried_and_reconciled_at_start": "the next berthd has found it"}),

    # ------------------------------------------------------------ copies
    Mutation("copy: paths of a container are the host's, and the job is not kept off those",
             [swap("path_open_in", 'path_open(root_fd, *path ? path : ".", flags, resolve)', 'path_open(root_fd, *path && strcmp(path, "/") ? path + (*path == \'/\') : ".", flags, 0)'),
              swap("confine_enter", "!c->all_files && (r = landlock_enter(c, e)) < 0", "!c->all_files && (r = 0 * landlock_enter(c, e)) < 0"),
              swap("landlock_enter", "if (abi < 1)", "if (1)")],
             {"test_no_path_leads_out_of_a_container": r"'size'|SECRET|assert \[|target|assert",
              "test_a_folder_that_becomes_a_link_while_it_is_copied": "planted|SECRET|assert"}),
    Mutation("copy: the shim of the last run keeps its overlay",
             [swap("copy_start", "if (c->shim && (k->writes || c->bye_sent))", "if (0)")],
             {"test_a_container_that_waits_to_be_started_again_sees_what_was_copied": "'told' in the log of"}),
    Mutation("copy: a start does not wait for it",
             [swap("container_start", "c->launch_after_copies = copies_hold(c);")],
             {"test_a_start_waits_for_what_is_copied_in": "the start to wait"}),
    Mutation("copy: a removal lets it go on",
             [swap("remove_begin", 'copies_forget(c, "the container is being removed");')],
             {"test_a_start_waits_for_what_is_copied_in": "TimeoutExpired|timed out|EOFError|removed|TimeLimit"}),
    Mutation("copy: it goes on when nobody waits for it any more",
             [body("supervisor/copy/on_client_gone", "(void)arg; (void)cancelled;")],
             {"test_a_client_that_is_killed_leaves_nothing": "its end"}),
    Mutation("copy: what a container calls setuid is setuid outside",
             [swap("verb_unpack", ".special_bits = owners", ".special_bits = true")],
             {"test_what_a_container_made_up_stays_what_it_may_be_outside": "0o755|== 493|assert"}),
    Mutation("copy: an archive may bring more than was asked for",
             [swap("verb_unpack", '.only = strcmp(argv[1], ".") ? argv[1] : NULL', ".only = NULL")],
             {"test_what_a_container_made_up_stays_what_it_may_be_outside": "KeyError: 'error'"}),
    Mutation("copy: on the host symlinks are followed",
             [swap("resolve_of", "RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS", "RESOLVE_BENEATH")],
             {"test_what_a_container_made_up_stays_what_it_may_be_outside": "through a symlink|KeyError: 'error'|assert"}),
    Mutation("copy: files that the kernel makes up are copied",
             [body("pack_is_kernel_file", "(void)fd; return false;")],
             {"test_odd_files_neither_hang_nor_hurt": "assert|DID NOT RAISE|TimeLimit|Refused"}),
    Mutation("copy: any descriptor is read and written for a client",
             [swap("stream_check", 'return refuse(rq, NULL, "the archive\'s descriptor is no pipe and no stream socket");', "return true;")],
             {"test_who_asks_and_with_what": "Regex pattern did not match|DID NOT RAISE"}),

    # ------------------------------------------------------------ 12: D-Bus
    Mutation("12: berthd loads libsystemd",
             [first("supervisor/main", 'extern void *dlopen(const char *, int); dlopen("libsystemd.so.0", 2);')],
             {"test_pain_12_nothing_on_the_way_speaks_dbus_or_to_systemd": "assert not"}),
    Mutation("12: a start asks the system bus",
             [first("launch_container", 'struct sockaddr_un { unsigned short f; char p[108]; } a_ = {1, "/run/dbus/system_bus_socket"};'
                    " int s_ = socket(1, 1, 0); connect(s_, &a_, sizeof a_); close(s_);")],
             {"test_pain_12_nothing_on_the_way_speaks_dbus_or_to_systemd": "system_bus_socket"}),

    # ------------------------------------------------------------ 13: mounts
    Mutation("13: a start leaves a mount in the host's table",
             [first("shim/launch/launch", 'mount("none", l->staging_dir, "tmpfs", 0, 0);')],
             {"test_pain_13_the_hosts_mount_table_does_not_grow_with_containers": r"assert \["}),
    Mutation("13: each shim has a copy of the host's mounts",
             [first("shim/setup", "unshare(0x00020000);")],
             {"test_pain_13_the_hosts_mount_table_does_not_grow_with_containers": "mnt:"}),

    # ------------------------------------------------------------ 14: density
    Mutation("14: a start looks at every container",
             [first("launch_container", "{ struct supervisor *sv = c->sv; " + each_container("(void)container_group_populated(c_);") + " }")],
             {"test_pain_14_start_time_does_not_grow_with_the_number_of_containers": "on the processor|assert .* <"}),
    Mutation("14: limits are not set",
             [body("confine_rlimits", "return 0;"), body("cg_limits_apply", "return 0;")],
             {"test_pain_14_limits_hold_with_many_at_once": "nofile|limits"}),

    # ------------------------------------------------------------ 15: the host goes down
    Mutation("15: a host that goes down kills at once",
             [swap("act_down", "container_stop_begin(c, c->obj->spec->stop_timeout_s * NS_PER_S);", "container_kill_all(c);")],
             {"test_pain_15_host_shutdown_gives_every_container_its_signal_and_its_time": "'code'|last_exit"}),

    # ------------------------------------------------------------ promises that are named after no wound
    Mutation("shutdown: answered before the ends are on disk",
             [swap("shutdown_step", "!store_call(sv->store, nothing_more, sv, committed)", "(committed(sv, 0), true)")],
             {"test_a_shutdown_is_answered_when_the_ends_are_on_disk": "no disk knows of the end"}),
    Mutation("shim: what it held lives on when it dies",
             [swap("act_shim_lost", "container_group_kill(c);")],
             {"test_shim_killed_takes_along_what_no_pid_namespace_holds": "is exited or unknown|no orphan of it"}),
    Mutation("state: a second berthd is let in",
             [body("supervisor/lock_take", "return 0;")],
             {"test_second_berthd_on_one_state_folder_refuses_and_disturbs_nothing": "another berthd|assert"}),
    Mutation("upgrade: one that cannot start does not go back",
             [body("upgrade_fall_back")],
             {"test_a_new_berthd_that_cannot_start_gives_way_to_the_old_one": "it has gone back"}),
    Mutation("upgrade: one that crashes does not go back",
             [swap("on_crash", 'syscall(SYS_execveat, back.exe_fd, "", back.argv, environ, AT_EMPTY_PATH);')],
             {"test_a_new_berthd_that_crashes_before_it_is_ready_gives_way_to_the_old_one": "it has gone back"}),
    Mutation("upgrade: whatever ends well may take over",
             [swap("check_ended", "&& check_said_yes(u)")],
             {"test_upgrade_to_a_broken_binary_falls_back_to_the_old_one": "it answers"}),
    Mutation("upgrade: the check has none of our flags",
             [swap("check_spawn", 'argv_with(sv->argv, (char *)(uintptr_t) "--check-state")',
                   'argv_with((char *[]){sv->exe, "--state", sv->cfg.state_dir, NULL}, (char *)(uintptr_t) "--check-state")')],
             {"test_an_upgrade_with_settings_that_are_wrong_by_now_is_refused": "nothing has changed"}),

    # ------------------------------------------------------------ push and export
    Mutation("push: credentials go where the registry has uploads sent to",
             [swap("task_go", "if (!t->elsewhere)", "if (1)")],
             {"test_credentials_do_not_follow_an_upload_elsewhere": "Authorization"}),
    Mutation("push: a broken upload counts as progress",
             [swap("on_moved", "if (!task_is_upload(t))")],
             {"test_a_broken_upload_is_no_progress": "assert"}),
    Mutation("push: what is sent in pieces begins again after a break",
             [swap("upload_restart", "if (t->session[0])", "if (0)")],
             {"test_pieces_go_on_where_they_were": "assert"}),
    Mutation("push: damage in the store is the registry's fault",
             [swap("blame", "content_verify(&p->content.blob[n->id - 1], e) == -EBADMSG", "0")],
             {"test_damage_in_the_store_is_not_blamed_on_the_registry": "says nothing like"}),
    Mutation("export: it writes as root, whoever asked",
             [swap("images_write", "(r = confine_become(uid, gid, uid ? 0 : CAPS_OF_ROOT, e)) < 0", "0")],
             {"test_the_asker_must_be_allowed_to_write_there": "assert"}),
    Mutation("export: half a file has a name",
             [swap("ctl/output/file_open", "open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666)",
                   "open(o->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)")],
             {"test_a_full_disk_ends_it_and_leaves_nothing": "assert|FileNotFound"}),
    Mutation("export: it is asked again when berthd went away",
             [swap("export_ask", "a.once = true;")],
             {"test_an_export_that_loses_its_berthd_says_so_and_leaves_nothing": "assert|Expired|took more"}),

    # ------------------------------------------------------------ images of somebody who wishes us ill
    Mutation("image: overlayfs's own xattrs are taken",
             [swap("node_xattr_rule", "return XATTR_REFUSE;", "return XATTR_TAKE;")],
             {"test_hostile_image": "overlayfs's own xattr.* was taken"}),
    Mutation("image: entries may go up",
             [swap("path_check", 'if (len == 2 && !memcmp(p, "..", 2))', "if (0)")],
             {"test_hostile_image": "dotdot.* (was taken|says nothing like)"}),
    Mutation("image: a map of holes is believed",
             [swap("image/unpack/data_write", "if (offset < end || offset > size || (la_int64_t)len > size - offset)", "if (0)")],
             {"test_hostile_image": "a sparse map .* (was taken|says nothing like)"}),
    Mutation("image: a document may be a manifest and an index",
             [body("one_kind_check", "return 0;")],
             {"test_hostile_image": "a manifest that is an index too.* was taken"}),
    Mutation("image: image_max_size is not heeded",
             [swap("image_store_limit", "s->unpack_left = max;")],
             {"test_hostile_image": "five layers of 150 MB of zeros.* was taken"}),
    Mutation("image: a list is as large as its images",
             [swap("reply_list", "if (total > LIST_WHOLE_MAX)", "if (0)")],
             {"test_many_images_with_large_labels_can_be_listed": "cannot be sent"}),
    Mutation("image: an image takes the last inodes",
             [body("space_take_node", "return 0;")],
             {"test_an_image_of_more_files_than_the_disk_has_inodes_for": "says nothing like|No space"}),
    Mutation("image: nobody says that a HEALTHCHECK is not acted on",
             [body("note_unheeded", "return 0;")],
             {"test_a_healthcheck_is_kept_and_said_not_to_be_acted_on": "IndexError|KeyError|notes"}),

    # ------------------------------------------------------------ images
    Mutation("images: a name that is given to one image stays on the others",
             [swap("image_edit_name", "image_edit_drop_name(ed, image_of(n), name) < 0", "0")],
             {"test_a_name_that_is_given_to_another_image_leaves_the_first_dangling": "assert"}),
    Mutation("images: of the changes of one edit the last is not written",
             [swap("store_write", "next = &(*next)->with", "next = &(*next)->with, n = n > 1 ? n - 1 : n")],
             {"test_names_that_move_while_berthd_is_killed_are_always_on_one_image": "assert"}),
    Mutation("images: layers that nothing needs are not swept",
             [swap("image_sweep", 'r = folder_sweep(&w, "layers", &layers, layer_sweep, e);')],
             {"test_prune_takes_what_has_no_name_and_no_container_and_says_how_much": "assert",
              "test_a_removal_that_is_killed": "only what is needed is left"}),
    Mutation("images: what a killed job left stays",
             [swap("image_sweep", "r = tmp_sweep(s, e);")],
             {"test_a_verify_whose_asker_leaves_ends_and_leaves_nothing": "what it unpacked is swept"}),
    Mutation("images: what a blob holds is not compared with its digest",
             [swap("blob_verify", "strcmp(found, digest) != 0", "0")],
             {"test_verify_finds_what_ails_blobs_and_who_needs_them": "expected exit 1|assert"}),
    Mutation("images: what the files of a layer hold is not compared",
             [swap("content_same", "memcmp(w->block[0], w->block[1], (size_t)n) != 0", "0")],
             {"test_verify_names_what_is_damaged_in_a_layer": "expected exit 1"}),
]

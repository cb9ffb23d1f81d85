// What the files of njs/ are given from elsewhere: shared memory (nginx/zones.py, the templates), and what a
// program is told of the YAML (nginx/programs.py). tests/unit/test_njs_types.py compares them.

interface NgxGlobalShared {
    readonly ig_keys: NgxSharedDict<string>;
    readonly ig_routes: NgxSharedDict<string>;
    readonly ig_catalog: NgxSharedDict<string>;
    readonly ig_backends: NgxSharedDict<string>;
    readonly ig_inflight: NgxSharedDict<number>;
    readonly ig_load: NgxSharedDict<number>;
    readonly ig_engines: NgxSharedDict<string>;
    readonly ig_blocks: NgxSharedDict<string>;
    readonly ig_turns: NgxSharedDict<number>;
    readonly ig_limits: NgxSharedDict<number>;
    readonly ig_affinity: NgxSharedDict<string>;
    readonly ig_breakers: NgxSharedDict<string>;
    readonly ig_retries: NgxSharedDict<string>;
    readonly ig_queue: NgxSharedDict<string>;
    readonly ig_shadow: NgxSharedDict<string>;
    readonly ig_waiting: NgxSharedDict<number>;
    readonly ig_tags: NgxSharedDict<number>;
    readonly ig_locks: NgxSharedDict<number>;
    readonly ig_hedge: NgxSharedDict<number>;
    readonly ig_hedging: NgxSharedDict<number>;
    readonly ig_late: NgxSharedDict<number>;
    readonly ig_ended: NgxSharedDict<string>;
    readonly ig_logins: NgxSharedDict<string>;
    readonly ig_kept: NgxSharedDict<string>;
    readonly ig_streams: NgxSharedDict<string>;
    readonly ig_lent: NgxSharedDict<string>;
}

declare const settings: {
    readonly revision: number;
    readonly snapshots: readonly string[];
    readonly usual_relay: string;
    readonly relays: string;
    readonly param_types: Readonly<Record<string, string>>;
    readonly param_bounds: Readonly<Record<string, readonly [number, number]>>;
    readonly param_ranges: Readonly<Record<string, readonly [number, number]>>;
    readonly most_stops: number;
    readonly ladder: readonly [0 | 1, number];
    readonly quick_tokens: number;
    readonly quick_bytes: number;
    readonly held_from: number;
    readonly held_least: number;
    readonly quick_unsaid: string;
    readonly quick_rule: string;
    readonly quick_long: string;
    readonly short_prompt: number;
    readonly media: string;
    readonly error_page: string;
    readonly default_model: string;
    readonly most_tokens: number;
    readonly hedged: Readonly<Record<string, string>>;
    readonly several: string;
    readonly zones: Readonly<Record<string, 0 | 1>>;
    readonly kept: Readonly<Record<string, 1>>;
    readonly who_answers: Readonly<Record<string, string>>;
    readonly only: string;
    readonly keepers: string;
    readonly kind_names: Readonly<Record<string, string>>;
    readonly counted: string;
    readonly textless: string;
    readonly key_in_query: boolean;
    readonly key_headers: string;
    readonly attempts_socket: string;
    readonly watches: 0 | 1;
    readonly tier: number;
    readonly keeps_responses: number;
    readonly waf_blocks: number;
    readonly unpacks: number;
    readonly mute: string;
    readonly undecided: number;
    readonly queue_address: string;
    readonly attempts_address: string;
    readonly line: any;
    readonly line_version: number;
    readonly listed: number;
    readonly ready: any;
    readonly mark_failed_ms: number;
    readonly breaker: {
        readonly failures: number;
        readonly error_rate: number;
        readonly cooldown_ms: number;
        readonly max_cooldown_ms: number;
    };
};

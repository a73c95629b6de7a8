// redis-quota from Java with Jedis: one class, then a tour of it.
//
//     REDIS_URL=redis://host:6379 CLUSTER_URL=redis://host:7000 java -cp 'packages/*' Limits.java
import java.net.URI;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import redis.clients.jedis.BuilderFactory;
import redis.clients.jedis.ClusterCommandArguments;
import redis.clients.jedis.CommandArguments;
import redis.clients.jedis.CommandObject;
import redis.clients.jedis.DefaultJedisClientConfig;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.RedisClient;
import redis.clients.jedis.RedisClusterClient;
import redis.clients.jedis.Response;
import redis.clients.jedis.UnifiedJedis;
import redis.clients.jedis.util.SafeEncoder;

/** The calls of a service. The client is shared by all threads; requests that wait open a connection of their own. */
public class Limits {
    /** What every limit replies. */
    record Verdict(long granted, long limit, long remaining, long waitMs, long resetMs, long rule) {
        boolean ok() {
            return granted > 0;
        }

        /** The RateLimit fields for a reply of status 200, or 429 where nothing was granted. */
        Map<String, String> headers(String name) {
            Map<String, String> fields = new LinkedHashMap<>();
            boolean never = !ok() && waitMs < 0;
            long seconds = ok() ? ceilSeconds(resetMs) : Math.max(1, ceilSeconds(waitMs));
            if (!ok() && !never) fields.put("Retry-After", Long.toString(seconds));
            if (limit >= 0 && remaining >= 0) { // -1 is unlimited
                fields.put("RateLimit", "\"" + name + "\";r=" + remaining + (never ? "" : ";t=" + seconds));
            }
            return fields;
        }

        private static long ceilSeconds(long ms) {
            return Math.floorDiv(ms + 999, 1000);
        }
    }

    private final UnifiedJedis client;

    Limits(UnifiedJedis client) {
        this.client = client;
    }

    /** Behind the command's name stands the key, by which the client of a cluster finds the node. */
    private Object send(String command, String key, Object... words) {
        return client.executeCommand(command(command).key(key).addObjects(words));
    }

    private static CommandArguments command(String name) {
        return new ClusterCommandArguments(() -> SafeEncoder.encode(name));
    }

    private Object first(Object reply) {
        return ((List<?>) reply).get(0);
    }

    void open(String account, String plan) {
        send("QUOTA.OPEN", account, plan);
    }

    void release(String key, String lease) {
        send("RL.RELEASE", key, lease);
    }

    private static Verdict verdict(Object reply) {
        long[] n = ((List<?>) reply).stream().mapToLong(number -> (Long) number).toArray();
        return new Verdict(n[0], n[1], n[2], n[3], n[4], n[5]);
    }

    Verdict allow(String key, long cost, Object limit, String period) {
        return verdict(send("RL.ALLOW", key, limit, period, "COST", cost));
    }

    /** Every key admits or none is charged. In a cluster the keys have one hash tag: {acme}:user:7, {acme}:org. */
    List<Verdict> allowAll(Map<String, String> rules, long cost) {
        var call = command("RL.MALLOW").add(rules.size()).keys(rules.keySet());
        for (String rule : rules.values()) call.add("WITH").addObjects((Object[]) rule.split(" "));
        List<?> reply = (List<?>) client.executeCommand(call.addObjects("ALL", "COST", cost));
        return reply.stream().map(Limits::verdict).toList();
    }

    /** A retry with the same id gets the same verdict and is charged nothing. */
    Verdict consume(String account, String resource, long amount, String id) {
        return verdict(send("QUOTA.CONSUME", account, resource, amount, "ID", id));
    }

    /** Gives units of a consumption back, and replies how many. */
    long refund(String account, String resource, long amount, String id) {
        return (Long) first(send("QUOTA.REFUND", account, resource, amount, "OF", id));
    }

    Verdict reserve(String account, String job, String resource, long amount, String ttl) {
        return verdict(send("QUOTA.RESERVE", account, job, resource, amount, "TTL", ttl));
    }

    /** Charges what the job used, also more than was reserved. */
    long commit(String account, String job, long amount) {
        return (Long) first(send("QUOTA.COMMIT", account, job, amount, "FORCE"));
    }

    long used(String account, String resource) {
        Object rules = field(send("QUOTA.INFO", account, resource), "rules");
        return (Long) field(first(rules), "used");
    }

    /** A field of a map as RESP2 sends it: names and values in turn. */
    private static Object field(Object reply, String name) {
        List<?> map = (List<?>) reply;
        for (int at = 0; at < map.size(); at += 2) {
            if (name.equals(SafeEncoder.encode((byte[]) map.get(at)))) return map.get(at + 1);
        }
        throw new IllegalArgumentException(name);
    }

    /** Waits on a connection of its own; replies the lease's fencing token, 0 where none came free in time. */
    static long lease(HostAndPort server, String key, int limit, int ttlS, int waitS, String id) {
        var config = DefaultJedisClientConfig.builder().socketTimeoutMillis((waitS + 1) * 1000).build();
        try (Jedis connection = new Jedis(server, config)) {
            List<?> reply = (List<?>) connection.sendCommand(() -> SafeEncoder.encode("RL.ACQUIRE"), key,
                    Integer.toString(limit), ttlS + "s", "ID", id, "WAIT", waitS + "s");
            return (Long) reply.get(7);
        }
    }

    static void setPlan(Jedis server, String... rules) {
        String[] words = Stream.concat(Stream.of("SET"), Stream.of(rules)).toArray(String[]::new);
        server.sendCommand(() -> SafeEncoder.encode("QUOTA.PLAN"), words);
    }

    /** Plans are not keys: every primary of a cluster has its own copy. */
    static int setPlanEverywhere(RedisClusterClient cluster, String... rules) {
        int primaries = 0;
        for (var pool : cluster.getClusterNodes().values()) {
            try (Jedis node = new Jedis(pool.getResource())) {
                if (!"master".equals(node.role().get(0))) continue;
                setPlan(node, rules);
                primaries++;
            }
        }
        return primaries;
    }

    private static final String[] PLAN = {"pro", "tokens", "LIMIT", "100000", "month"};

    private static HostAndPort server(String variable) {
        URI url = URI.create(System.getenv(variable));
        return new HostAndPort(url.getHost(), url.getPort());
    }

    public static void main(String[] arguments) throws Exception {
        HostAndPort server = server("REDIS_URL");
        var config = DefaultJedisClientConfig.builder().socketTimeoutMillis(250).build();
        try (RedisClient client = RedisClient.builder().hostAndPort(server).clientConfig(config).build()) {
            Limits limits = new Limits(client);
            Verdict verdict = limits.allow("user:42", 10, 10, "1h");
            String left = "%d of %d left".formatted(verdict.remaining(), verdict.limit());
            System.out.println("allow: granted " + verdict.granted() + ", " + left);
            Map<String, String> headers = limits.allow("user:42", 1, 10, "1h").headers("default");
            System.out.println("denied: 429 " + headers.entrySet().stream()
                    .map(field -> field.getKey() + ": " + field.getValue()).collect(Collectors.joining(", ")));

            try (Jedis operator = new Jedis(server)) {
                setPlan(operator, PLAN);
            }
            limits.open("acme", "pro");
            for (int attempt = 0; attempt < 2; attempt++) {
                System.out.println("consume: granted " + limits.consume("acme", "tokens", 300, "request-1").granted());
            }
            System.out.println("refund: " + limits.refund("acme", "tokens", 100, "request-1"));
            limits.reserve("acme", "job-1", "tokens", 4000, "10m");
            System.out.println("commit: " + limits.commit("acme", "job-1", 5100));
            System.out.println("used: " + limits.used("acme", "tokens"));

            long first = lease(server, "printer", 1, 60, 1, "a");
            var second = CompletableFuture.supplyAsync(() -> lease(server, "printer", 1, 60, 5, "b"));
            while (!client.info("quota").contains("quota_waiting:1")) Thread.onSpinWait(); // the shared pool goes on
            limits.release("printer", "a");
            System.out.println("lease: a token that grows: " + (first < second.get()));
        }
        try (RedisClusterClient cluster = RedisClusterClient.create(Set.of(server("CLUSTER_URL")))) {
            System.out.println("cluster: plan on " + setPlanEverywhere(cluster, PLAN) + " primaries");
            Limits limits = new Limits(cluster);
            List<Response<Object>> verdicts = new ArrayList<>();
            try (var pipeline = cluster.pipelined()) {
                for (int number = 0; number < 9; number++) {
                    String account = "customer:" + number;
                    var open = command("QUOTA.OPEN").key(account).add("pro");
                    var consume = command("QUOTA.CONSUME").key(account).addObjects("tokens", 1, "ID", "request-1");
                    pipeline.executeCommand(new CommandObject<>(open, BuilderFactory.RAW_OBJECT));
                    verdicts.add(pipeline.executeCommand(new CommandObject<>(consume, BuilderFactory.RAW_OBJECT)));
                }
            }
            long granted = verdicts.stream().mapToLong(reply -> verdict(reply.get()).granted()).sum();
            System.out.println("cluster: granted " + granted + " in one pipeline");
            Map<String, String> rules = new LinkedHashMap<>();
            rules.put("{acme}:user:7", "10 1h");
            rules.put("{acme}:org", "100 1h");
            List<Verdict> both = limits.allowAll(rules, 1);
            System.out.println("cluster: " + both.get(0).remaining() + " and " + both.get(1).remaining() + " left");
        }
    }
}

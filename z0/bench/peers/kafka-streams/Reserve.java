import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.math.BigDecimal;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * The peer: reservations against accounts with Kafka Streams, exactly_once_v2.
 *
 * One command in (id, account, amount), one fact out; a balance is checked, and an id that was seen gets its first outcome. Both
 * stores are RocksDB with a changelog. Caching of balances is on, so a commit writes each balance once: the library at its best.
 *
 * Arguments: bootstrap servers, state folder, commit interval in milliseconds, threads.
 */
public final class Reserve {
    private static final String BALANCES = "balances";
    private static final String SEEN = "seen";
    private static final BigDecimal FUNDS = new BigDecimal("1000000000");

    private Reserve() {}

    public static void main(String[] arguments) throws InterruptedException {
        KafkaStreams streams = new KafkaStreams(topology(), settings(arguments));
        streams.setStateListener((now, before) -> System.out.println("state " + now));
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        Thread.currentThread().join();
    }

    private static Properties settings(String[] arguments) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, "bench-streams");
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, arguments[1]);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, arguments[2]);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, arguments[3]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, Serdes.StringSerde.class);
        settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, Serdes.ByteArraySerde.class);
        settings.put("auto.offset.reset", "earliest");
        return settings;
    }

    private static Topology topology() {
        var balances = Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(BALANCES), Serdes.String(), Serdes.String());
        var seen = Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(SEEN), Serdes.String(), Serdes.String());
        return new Topology()
            .addSource("commands", "bench.streams.commands")
            .addProcessor("reserve", Decide::new, "commands")
            .addStateStore(balances.withCachingEnabled(), "reserve")
            .addStateStore(seen, "reserve")
            .addSink("facts", "bench.streams.facts", "reserve");
    }

    private static final class Decide implements Processor<String, byte[], String, byte[]> {
        private final ObjectMapper json = new ObjectMapper();
        private ProcessorContext<String, byte[]> context;
        private KeyValueStore<String, String> balances;
        private KeyValueStore<String, String> seen;

        @Override
        public void init(ProcessorContext<String, byte[]> given) {
            context = given;
            balances = given.getStateStore(BALANCES);
            seen = given.getStateStore(SEEN);
        }

        @Override
        public void process(Record<String, byte[]> record) {
            try {
                ObjectNode command = (ObjectNode) json.readTree(record.value());
                context.forward(record.withValue(json.writeValueAsBytes(decide(command))));
            } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
            }
        }

        private ObjectNode decide(ObjectNode command) {
            String id = command.get("id").textValue();
            String account = command.get("account").textValue();
            String known = balances.get(account);
            BigDecimal balance = known == null ? FUNDS : new BigDecimal(known);
            String outcome = seen.get(id);
            if (outcome == null) {
                BigDecimal after = balance.subtract(new BigDecimal(command.get("amount").textValue()));
                outcome = after.signum() < 0 ? "budget_exhausted" : "accepted";
                if (after.signum() >= 0) {
                    balance = after;
                    balances.put(account, balance.toPlainString());
                }
                seen.put(id, outcome);
            }
            return command.put("outcome", outcome).put("available", balance.toPlainString());
        }
    }
}

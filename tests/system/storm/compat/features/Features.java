package features;

import java.io.FileWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.Map;
import org.apache.storm.Config;
import org.apache.storm.StormSubmitter;
import org.apache.storm.drpc.DRPCSpout;
import org.apache.storm.generated.StormTopology;
import org.apache.storm.hooks.BaseWorkerHook;
import org.apache.storm.metric.LoggingMetricsConsumer;
import org.apache.storm.metric.api.CountMetric;
import org.apache.storm.state.KeyValueState;
import org.apache.storm.streams.StreamBuilder;
import org.apache.storm.streams.operations.mappers.ValueMapper;
import org.apache.storm.task.OutputCollector;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.topology.OutputFieldsDeclarer;
import org.apache.storm.topology.TopologyBuilder;
import org.apache.storm.topology.base.BaseRichBolt;
import org.apache.storm.topology.base.BaseStatefulBolt;
import org.apache.storm.topology.base.BaseWindowedBolt;
import org.apache.storm.trident.TridentTopology;
import org.apache.storm.trident.operation.builtin.Count;
import org.apache.storm.trident.testing.FixedBatchSpout;
import org.apache.storm.trident.testing.MemoryMapState;
import org.apache.storm.trident.testing.Split;
import org.apache.storm.tuple.Fields;
import org.apache.storm.tuple.Tuple;
import org.apache.storm.tuple.Values;
import org.apache.storm.windowing.TupleWindow;

/** Topologies that use what plain ones do not. Arguments: which, a folder for what comes out. */
public final class Features {
  private static final int COUNT = 30;

  private Features() {}

  static synchronized void note(String file, Object value) {
    try (FileWriter writer = new FileWriter(file, true)) {
      writer.write(value + "\n");
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** Sums; the sum is its state. */
  public static final class Total extends BaseStatefulBolt<KeyValueState<String, Long>> {
    private final String file;
    private KeyValueState<String, Long> state;
    private OutputCollector collector;

    Total(String file) {
      this.file = file;
    }

    @Override
    public void prepare(Map<String, Object> conf, TopologyContext context, OutputCollector out) {
      collector = out;
    }

    @Override
    public void initState(KeyValueState<String, Long> given) {
      state = given;
    }

    @Override
    public void execute(Tuple tuple) {
      long sum = state.get("sum", 0L) + tuple.getIntegerByField("number");
      state.put("sum", sum);
      note(file, sum);
      collector.ack(tuple);
    }

    @Override
    public void declareOutputFields(OutputFieldsDeclarer declarer) {}
  }

  /** Sums windows of 10 numbers of event time. */
  public static final class Windows extends BaseWindowedBolt {
    private final String file;

    Windows(String file) {
      this.file = file;
    }

    @Override
    public void execute(TupleWindow window) {
      note(file, window.get().stream().mapToInt(tuple -> tuple.getInteger(0)).sum());
    }
  }

  /** Counts with metrics of the old kind, in a pool that the worker shares. */
  public static final class Old extends BaseRichBolt {
    private final String file;
    private CountMetric metric;
    private OutputCollector collector;

    Old(String file) {
      this.file = file;
    }

    @Override
    public void prepare(Map<String, Object> conf, TopologyContext context, OutputCollector out) {
      collector = out;
      metric = context.registerMetric("old", new CountMetric(), 1);
      context.registerMeter("meter");
      context.getSharedExecutor().submit(() -> note(file, "shared"));
    }

    @Override
    public void execute(Tuple tuple) {
      metric.incr();
      collector.ack(tuple);
    }

    @Override
    public void declareOutputFields(OutputFieldsDeclarer declarer) {}
  }

  private static StormTopology trident(String file) {
    FixedBatchSpout spout =
        new FixedBatchSpout(
            new Fields("sentence"), 2, new Values("a b"), new Values("b c"), new Values("c b"));
    TridentTopology topology = new TridentTopology();
    topology
        .newStream("lines", spout)
        .each(new Fields("sentence"), new Split(), new Fields("word"))
        .groupBy(new Fields("word"))
        .persistentAggregate(new MemoryMapState.Factory(), new Count(), new Fields("count"))
        .newValuesStream()
        .peek(tuple -> note(file, tuple.getString(0) + tuple.getLong(1)));
    return topology.build();
  }

  private static StormTopology streams(String file) {
    StreamBuilder builder = new StreamBuilder();
    builder
        .newStream(new Numbers(COUNT), new ValueMapper<Integer>(0))
        .filter(number -> number % 2 == 0)
        .map(number -> number * 10)
        .forEach(number -> note(file, number));
    return builder.build();
  }

  private static StormTopology spoutAndBolt(String which, String file, Config conf) {
    TopologyBuilder builder = new TopologyBuilder();
    builder.setSpout("numbers", new Numbers(COUNT));
    switch (which) {
      case "stateful" -> {
        conf.put(Config.TOPOLOGY_STATE_CHECKPOINT_INTERVAL, 500);
        builder.setBolt("total", new Total(file)).shuffleGrouping("numbers");
      }
      case "windows" ->
          builder
              .setBolt(
                  "windows",
                  new Windows(file)
                      .withTimestampField("time")
                      .withLag(BaseWindowedBolt.Duration.of(1))
                      .withTumblingWindow(BaseWindowedBolt.Duration.of(10)))
              .shuffleGrouping("numbers");
      case "drpc" -> builder.setSpout("asked", new DRPCSpout("ask"));
      case "old" -> {
        builder.setBolt("old", new Old(file)).shuffleGrouping("numbers");
        builder.addWorkerHook(new BaseWorkerHook());
        conf.registerMetricsConsumer(LoggingMetricsConsumer.class);
        conf.put(Config.TOPOLOGY_WORKER_CHILDOPTS, "-Xmx100m");
        conf.put(Config.TOPOLOGY_COMPONENT_CPU_PCORE_PERCENT, 20);
      }
      default -> throw new IllegalArgumentException(which);
    }
    return builder.createTopology();
  }

  public static void main(String[] arguments) throws Exception {
    String which = arguments[0];
    String file = arguments[1] + "/" + which + ".txt";
    Config conf = new Config();
    conf.setMessageTimeoutSecs(600);
    StormTopology topology =
        switch (which) {
          case "trident" -> trident(file);
          case "streams" -> streams(file);
          default -> spoutAndBolt(which, file, conf);
        };
    StormSubmitter.submitTopology(which, conf, topology);
  }
}

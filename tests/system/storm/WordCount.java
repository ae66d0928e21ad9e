import java.io.IOException;
import java.io.PrintWriter;
import java.util.HashMap;
import java.util.Map;
import org.apache.storm.Config;
import org.apache.storm.StormSubmitter;
import org.apache.storm.spout.SpoutOutputCollector;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.topology.BasicOutputCollector;
import org.apache.storm.topology.OutputFieldsDeclarer;
import org.apache.storm.topology.TopologyBuilder;
import org.apache.storm.topology.base.BaseBasicBolt;
import org.apache.storm.topology.base.BaseRichSpout;
import org.apache.storm.tuple.Fields;
import org.apache.storm.tuple.Tuple;
import org.apache.storm.tuple.Values;

/**
 * Counts words, as authors of Storm topologies write it. Arguments: the topology's name, and if wanted
 * how many lines there are and in which folder the counts are left at the end.
 */
public class WordCount {
  public static class Lines extends BaseRichSpout {
    private static final String[] LINES = {"the cow jumped over the moon", "an apple a day"};
    private SpoutOutputCollector collector;
    private long left;
    private int step;
    private int next;

    @Override
    @SuppressWarnings("rawtypes")
    public void open(Map conf, TopologyContext context, SpoutOutputCollector given) {
      collector = given;
      left = ((Number) conf.get("words.lines")).longValue();
      step = context.getComponentTasks(context.getThisComponentId()).size();
      next = context.getThisTaskIndex();
    }

    @Override
    public void nextTuple() {
      if (next < left) {
        collector.emit(new Values(LINES[next % LINES.length]), next);
        next += step;
      }
    }

    @Override
    public void declareOutputFields(OutputFieldsDeclarer declarer) {
      declarer.declare(new Fields("line"));
    }
  }

  public static class Split extends BaseBasicBolt {
    @Override
    public void execute(Tuple tuple, BasicOutputCollector collector) {
      for (String word : tuple.getString(0).split(" ")) {
        collector.emit(new Values(word));
      }
    }

    @Override
    public void declareOutputFields(OutputFieldsDeclarer declarer) {
      declarer.declare(new Fields("word"));
    }
  }

  public static class Count extends BaseBasicBolt {
    private final Map<String, Integer> counts = new HashMap<>();
    private String folder;
    private int task;

    @Override
    @SuppressWarnings("rawtypes")
    public void prepare(Map conf, TopologyContext context) {
      folder = (String) conf.get("words.folder");
      task = context.getThisTaskId();
    }

    @Override
    public void cleanup() {
      if (folder == null) {
        return;
      }
      try (PrintWriter file = new PrintWriter(folder + "/count-" + task, "UTF-8")) {
        counts.forEach((word, count) -> file.println(word + " " + count));
      } catch (IOException error) {
        throw new IllegalStateException(error);
      }
    }

    @Override
    public void execute(Tuple tuple, BasicOutputCollector collector) {
      String word = tuple.getString(0);
      collector.emit(new Values(word, counts.merge(word, 1, Integer::sum)));
    }

    @Override
    public void declareOutputFields(OutputFieldsDeclarer declarer) {
      declarer.declare(new Fields("word", "count"));
    }
  }

  public static void main(String[] args) throws Exception {
    TopologyBuilder builder = new TopologyBuilder();
    builder.setSpout("spout", new Lines(), 2).setMaxSpoutPending(100);
    builder.setBolt("split", new Split(), 3).shuffleGrouping("spout");
    builder.setBolt("count", new Count(), 2).setNumTasks(4)
        .fieldsGrouping("split", new Fields("word"));
    Config conf = new Config();
    conf.setNumWorkers(2);
    conf.setMessageTimeoutSecs(300);
    conf.registerSerialization(WordCount.class);
    conf.put("words.lines", args.length > 1 ? Integer.parseInt(args[1]) : Integer.MAX_VALUE);
    if (args.length > 2) {
      conf.put("words.folder", args[2]);
    }
    StormSubmitter.submitTopology(args[0], conf, builder.createTopology());
  }
}

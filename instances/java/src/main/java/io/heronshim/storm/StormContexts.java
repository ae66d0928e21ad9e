package io.heronshim.storm;

import com.codahale.metrics.Counter;
import com.codahale.metrics.Gauge;
import io.heronshim.instance.Log;
import io.heronshim.instance.Plan;
import io.heronshim.instance.TaskContext;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.storm.Config;
import org.apache.storm.daemon.StormCommon;
import org.apache.storm.generated.ComponentCommon;
import org.apache.storm.generated.InvalidTopologyException;
import org.apache.storm.generated.NodeInfo;
import org.apache.storm.generated.StormTopology;
import org.apache.storm.generated.StreamInfo;
import org.apache.storm.hooks.ITaskHook;
import org.apache.storm.metric.api.IMetric;
import org.apache.storm.metrics2.StormMetricRegistry;
import org.apache.storm.task.TopologyContext;
import org.apache.storm.task.WorkerTopologyContext;
import org.apache.storm.tuple.Fields;
import org.apache.storm.utils.ThriftTopologyUtils;
import org.apache.storm.utils.Utils;

/** Makes the contexts that Storm's components ask about their topology. One of a process. */
final class StormContexts {
  private static final int FIRST_PORT = 6700;
  private static final Set<String> COMPONENT_KEYS =
      Set.of(
          Config.TOPOLOGY_DEBUG,
          Config.TOPOLOGY_MAX_SPOUT_PENDING,
          Config.TOPOLOGY_MAX_TASK_PARALLELISM,
          Config.TOPOLOGY_TRANSACTIONAL_ID,
          Config.TOPOLOGY_TICK_TUPLE_FREQ_SECS,
          Config.TOPOLOGY_SLEEP_SPOUT_WAIT_STRATEGY_TIME_MS,
          Config.TOPOLOGY_SPOUT_WAIT_STRATEGY);
  private static final List<String> COMPONENT_PREFIXES =
      List.of("topology.bolts.", "topology.state.");

  private final StormTopologyFiles files;
  private final StormTopology systemTopology;
  private final String topologyId;
  private final Path packageDir;
  private final Map<Integer, String> taskToComponent;
  private final Map<String, List<Integer>> componentToTasks = new HashMap<>();
  private final Map<String, Map<String, Fields>> streamFields = new HashMap<>();
  private final Map<String, Object> defaultResources = new HashMap<>();
  private final Map<String, Object> userResources = new ConcurrentHashMap<>();
  private final StormMetricRegistry registry = new StormMetricRegistry();
  private final AtomicReference<Map<Integer, NodeInfo>> nodeOfTask = new AtomicReference<>();
  private final AtomicReference<Map<String, String>> hostOfNode =
      new AtomicReference<>(new HashMap<>());

  StormContexts(Plan plan, String topologyId, Path packageDir, StormTopologyFiles files) {
    this.files = files;
    this.topologyId = topologyId;
    this.packageDir = packageDir;
    this.taskToComponent = new TreeMap<>(plan.componentOf());
    try {
      systemTopology = StormCommon.systemTopology(files.conf(), files.topology());
      // Storm numbers its own tasks too: where the plan left their ids free, contexts show them.
      StormCommon.stormTaskInfo(files.topology(), files.conf())
          .forEach(
              (task, component) -> {
                if (Utils.isSystemId(component)) {
                  taskToComponent.putIfAbsent(task, component);
                }
              });
    } catch (InvalidTopologyException error) {
      throw new IllegalStateException("Storm refuses the topology: " + error.get_msg(), error);
    }
    taskToComponent.forEach(
        (task, component) ->
            componentToTasks.computeIfAbsent(component, key -> new ArrayList<>()).add(task));
    for (String component : ThriftTopologyUtils.getComponentIds(systemTopology)) {
      Map<String, Fields> fields = new HashMap<>();
      ComponentCommon common = ThriftTopologyUtils.getComponentCommon(systemTopology, component);
      for (Map.Entry<String, StreamInfo> stream : common.get_streams().entrySet()) {
        fields.put(stream.getKey(), new Fields(stream.getValue().get_output_fields()));
      }
      streamFields.put(component, fields);
    }
    defaultResources.put(
        WorkerTopologyContext.SHARED_EXECUTOR,
        Executors.newCachedThreadPool(
            work -> {
              Thread thread = new Thread(work, "shared-executor");
              thread.setDaemon(true);
              return thread;
            }));
    nodeOfTask.set(nodes(plan));
  }

  private static Map<Integer, NodeInfo> nodes(Plan plan) {
    Map<Integer, NodeInfo> nodes = new HashMap<>();
    for (int task : plan.componentOf().keySet()) {
      int container = plan.containerOf(task);
      nodes.put(
          task, new NodeInfo("container-" + container, Set.of((long) FIRST_PORT + container)));
    }
    return nodes;
  }

  /** Of a task, for the author's code (`isSystem` false) or for tuples and Kryo. */
  TopologyContext make(TaskContext task, boolean isSystem, AtomicBoolean opened) {
    Map<Integer, Map<Integer, Map<String, IMetric>>> metrics = new HashMap<>();
    return new TopologyContext(
        isSystem ? systemTopology : files.topology(),
        files.conf(),
        taskToComponent,
        componentToTasks,
        streamFields,
        new HashMap<>(),
        topologyId,
        packageDir.resolve("resources").toString(),
        pidDir(),
        task.task(),
        FIRST_PORT + task.container(),
        task.plan().neighbours(task.task()),
        defaultResources,
        userResources,
        task.executorData(),
        metrics,
        opened,
        registry);
  }

  /** Of an emitting task, for groupings. */
  WorkerTopologyContext forGrouping(Plan plan, int task) {
    int container = plan.containerOf(task);
    return new WorkerTopologyContext(
        systemTopology,
        files.conf(),
        taskToComponent,
        componentToTasks,
        streamFields,
        topologyId,
        packageDir.resolve("resources").toString(),
        pidDir(),
        FIRST_PORT + container,
        plan.neighbours(task),
        defaultResources,
        userResources,
        nodeOfTask,
        "container-" + container,
        hostOfNode);
  }

  /** The topology's configuration with the component's own on top, as far as Storm allows it. */
  Map<String, Object> componentConf(String component) {
    Map<String, Object> conf = new HashMap<>(files.conf());
    ComponentCommon common = Utils.getComponentCommon(files.topology(), component);
    if (common.is_set_json_conf()) {
      Map<String, Object> own =
          StormTopologyFiles.json(common.get_json_conf().getBytes(StandardCharsets.UTF_8));
      Set<String> storms = keysOfStorm();
      own.forEach(
          (key, value) -> {
            boolean allowed =
                COMPONENT_KEYS.contains(key)
                    || COMPONENT_PREFIXES.stream().anyMatch(key::startsWith);
            if (allowed || !storms.contains(key)) {
              conf.put(key, value);
            }
          });
    }
    conf.putAll(files.ownConf(component));
    return conf;
  }

  private static Set<String> keysOfStorm() {
    Set<String> keys = new HashSet<>();
    for (Field field : Config.class.getFields()) {
      if (Modifier.isStatic(field.getModifiers()) && field.getType() == String.class) {
        try {
          keys.add((String) field.get(null));
        } catch (IllegalAccessException error) {
          throw new IllegalStateException(error);
        }
      }
    }
    return keys;
  }

  /** Adds the hooks that the configuration names (`topology.auto.task.hooks`). */
  void addHooks(TopologyContext context) {
    if (files.conf().get(Config.TOPOLOGY_AUTO_TASK_HOOKS) instanceof List<?> names) {
      for (Object name : names) {
        context.addTaskHook((ITaskHook) newInstance(String.valueOf(name)));
      }
    }
  }

  /** An object of a class with a constructor without arguments. */
  static Object newInstance(String name) {
    try {
      return Class.forName(name).getDeclaredConstructor().newInstance();
    } catch (ReflectiveOperationException error) {
      throw new IllegalStateException("class " + name + " cannot be made: " + error, error);
    }
  }

  /** Totals of the counters that a task registered. */
  Map<String, Double> counters(int task) {
    Map<String, Double> totals = new HashMap<>();
    for (Map.Entry<String, Counter> entry : registry.getTaskCounters(task).entrySet()) {
      totals.put(entry.getKey(), (double) entry.getValue().getCount());
    }
    return totals;
  }

  /** Values of the gauges that a task registered, those that are numbers. */
  Map<String, Double> gauges(int task) {
    Map<String, Double> values = new HashMap<>();
    for (Map.Entry<String, ? extends Gauge<?>> entry : gaugesOf(task).entrySet()) {
      try {
        if (entry.getValue().getValue() instanceof Number number) {
          values.put(entry.getKey(), number.doubleValue());
        }
      } catch (RuntimeException | LinkageError | StackOverflowError error) {
        Log.warning("gauge_failed", "task", task, "name", entry.getKey(), "error", error);
      }
    }
    return values;
  }

  @SuppressWarnings({"unchecked", "rawtypes"})
  private Map<String, Gauge<?>> gaugesOf(int task) {
    return (Map) registry.getTaskGauges(task);
  }

  /** Where multilang children say that they live. */
  private static String pidDir() {
    Path folder = Path.of("pids").toAbsolutePath();
    try {
      Files.createDirectories(folder);
    } catch (IOException error) {
      throw new UncheckedIOException(folder + " cannot be made", error);
    }
    return folder.toString();
  }
}

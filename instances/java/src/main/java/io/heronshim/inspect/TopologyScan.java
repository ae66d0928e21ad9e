package io.heronshim.inspect;

import com.google.gson.JsonArray;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import io.heronshim.inspect.ClassFile.Use;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.apache.storm.Thrift;
import org.apache.storm.generated.Bolt;
import org.apache.storm.generated.ComponentCommon;
import org.apache.storm.generated.ComponentObject;
import org.apache.storm.generated.GlobalStreamId;
import org.apache.storm.generated.Grouping;
import org.apache.storm.generated.SpoutSpec;
import org.apache.storm.generated.StormTopology;
import org.apache.storm.spout.ShellSpout;
import org.apache.storm.task.ShellBolt;
import org.apache.storm.topology.IComponent;
import org.apache.storm.utils.Utils;

/** Opens the objects of a topology and says of which classes they are and what those refer to. */
final class TopologyScan {
  private static final String STORM_PACKAGE = "org.apache.storm.";
  private static final int WRAPPERS_MAX = 8;
  private static final int USES_MAX = 2000;
  private static final String LAMBDA = "$$Lambda";
  private final ClassFiles files;

  TopologyScan(ClassFiles files) {
    this.files = files;
  }

  /** `code` is a StormTopology as Thrift writes it. */
  JsonObject run(byte[] code) {
    StormTopology topology = Utils.thriftDeserialize(StormTopology.class, code);
    JsonObject components = new JsonObject();
    for (Map.Entry<String, SpoutSpec> each : topology.get_spouts().entrySet()) {
      SpoutSpec spout = each.getValue();
      components.add(each.getKey(), component(spout.get_spout_object(), spout.get_common()));
    }
    for (Map.Entry<String, Bolt> each : topology.get_bolts().entrySet()) {
      Bolt bolt = each.getValue();
      components.add(each.getKey(), component(bolt.get_bolt_object(), bolt.get_common()));
    }
    JsonObject found = new JsonObject();
    found.add("components", components);
    found.add("worker_hooks", workerHooks(topology));
    return found;
  }

  private JsonArray workerHooks(StormTopology topology) {
    List<String> found = new ArrayList<>();
    if (topology.is_set_worker_hooks()) {
      for (ByteBuffer hook : topology.get_worker_hooks()) {
        byte[] bytes = new byte[hook.remaining()];
        hook.duplicate().get(bytes);
        Opened opened = Opened.of(bytes);
        found.add(opened.object() == null ? opened.problem() : className(opened.object()));
      }
    }
    return Inspect.array(found);
  }

  private JsonObject component(ComponentObject made, ComponentCommon common) {
    Opened opened = made.is_set_serialized_java()
        ? Opened.of(made.get_serialized_java())
        : Opened.of(() -> Thrift.instantiateJavaObject(made.get_java_object()));
    Set<String> classes = new LinkedHashSet<>(opened.classes());
    JsonObject groupings = new JsonObject();
    for (Map.Entry<GlobalStreamId, Grouping> input : common.get_inputs().entrySet()) {
      if (input.getValue().is_set_custom_serialized()) {
        Opened grouping = Opened.of(input.getValue().get_custom_serialized());
        classes.addAll(grouping.classes());
        GlobalStreamId from = input.getKey();
        groupings.addProperty(
            from.get_componentId() + ":" + from.get_streamId(),
            grouping.object() == null ? grouping.problem() : className(grouping.object()));
      }
    }
    JsonObject found = new JsonObject();
    found.addProperty("problem", opened.problem());
    found.add("objects", new JsonArray());
    found.add("shell", JsonNull.INSTANCE);
    Object object = opened.object();
    for (int depth = 0; object != null && depth < WRAPPERS_MAX; depth++) {
      JsonObject layer = new JsonObject();
      layer.addProperty("name", className(object));
      layer.add("ancestors", Inspect.array(ancestors(object.getClass())));
      found.getAsJsonArray("objects").add(layer);
      classes.add(object.getClass().getName());
      if (object instanceof ShellBolt || object instanceof ShellSpout) {
        found.add("shell", shell(object));
      }
      object = isStorms(object.getClass()) ? wrapped(object) : null;
    }
    found.add("groupings", groupings);
    addUses(found, classes);
    return found;
  }

  private void addUses(JsonObject to, Set<String> classes) {
    Set<String> starts = new LinkedHashSet<>();
    Set<String> lambdaHosts = new LinkedHashSet<>();
    for (String name : classes) {
      int lambda = name.indexOf(LAMBDA);
      (lambda < 0 ? starts : lambdaHosts)
          .add((lambda < 0 ? name : name.substring(0, lambda)).replace('.', '/'));
    }
    starts.removeIf(name -> ClassFiles.isStorm(name) && files.clientHas(name));
    Set<Use> reached = files.reached(starts, lambdaHosts);
    Set<String> uses = new TreeSet<>();
    for (Use use : reached) {
      if (ClassFiles.isStorm(use.owner()) && uses.size() < USES_MAX) {
        String member = use.member().isEmpty() ? "" : "." + use.member();
        uses.add(ClassFiles.dotted(use.owner()) + member);
      }
    }
    to.add("uses", Inspect.array(uses));
    to.add("missing", JarScan.missing(files, reached));
  }

  /** Superclasses and interfaces, the class itself not among them, nearest first. */
  private static List<String> ancestors(Class<?> of) {
    Set<String> found = new LinkedHashSet<>();
    List<Class<?>> level = List.of(of);
    while (!level.isEmpty()) {
      List<Class<?>> above = new ArrayList<>();
      for (Class<?> each : level) {
        if (each.getSuperclass() != null && each.getSuperclass() != Object.class) {
          above.add(each.getSuperclass());
        }
        above.addAll(List.of(each.getInterfaces()));
      }
      above.forEach(each -> found.add(each.getName()));
      level = above;
    }
    return new ArrayList<>(found);
  }

  private static boolean isStorms(Class<?> type) {
    return type.getName().startsWith(STORM_PACKAGE);
  }

  /** The component that one of Storm's own holds and calls; null when it holds none. */
  private static Object wrapped(Object holder) {
    for (Class<?> type = holder.getClass(); isStorms(type); type = type.getSuperclass()) {
      for (Field field : type.getDeclaredFields()) {
        if (!Modifier.isStatic(field.getModifiers())
            && IComponent.class.isAssignableFrom(field.getType())) {
          Object value = value(holder, field);
          if (value != null) {
            return value;
          }
        }
      }
    }
    return null;
  }

  private static JsonArray shell(Object holder) {
    Class<?> type = holder instanceof ShellBolt ? ShellBolt.class : ShellSpout.class;
    for (Field field : type.getDeclaredFields()) {
      if (field.getType() == String[].class && value(holder, field) instanceof String[] words) {
        return Inspect.array(List.of(words));
      }
    }
    return new JsonArray();
  }

  private static Object value(Object holder, Field field) {
    try {
      field.setAccessible(true);
      return field.get(holder);
    } catch (IllegalAccessException error) {
      throw new IllegalStateException(error);
    }
  }

  /** Its name, without the number that a lambda expression has in one virtual machine only. */
  private static String className(Object object) {
    String name = object.getClass().getName();
    int lambda = name.indexOf(LAMBDA);
    return lambda < 0 ? name : name.substring(0, lambda) + LAMBDA;
  }
}

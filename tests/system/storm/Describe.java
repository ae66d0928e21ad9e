import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Enumeration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;

/**
 * Prints what the generated classes of a jar say of themselves, a line each. Arguments: jar, package.
 * "enum NAME NUMBER MEMBER", "field STRUCT ID REQUIREMENT TYPE NAME", and for each method of Nimbus
 * "method NAME".
 */
public class Describe {
  private static final String[] TYPES = {
    "", "", "bool", "byte", "double", "", "i16", "", "i32", "", "i64", "string"
  };

  public static void main(String[] args) throws Exception {
    List<String> names = new ArrayList<>();
    try (JarFile jar = new JarFile(args[0])) {
      String prefix = args[1].replace('.', '/') + "/";
      for (Enumeration<JarEntry> all = jar.entries(); all.hasMoreElements(); ) {
        String name = all.nextElement().getName();
        if (name.startsWith(prefix) && name.endsWith(".class")) {
          names.add(name.substring(0, name.length() - 6).replace('/', '.'));
        }
      }
    }
    Collections.sort(names);
    for (String name : names) {
      Class<?> found = Class.forName(name, false, Describe.class.getClassLoader());
      if (found.isEnum() && !name.contains("$")) {
        for (Object member : found.getEnumConstants()) {
          Object number = found.getMethod("getValue").invoke(member);
          System.out.println("enum " + found.getSimpleName() + " " + number + " " + member);
        }
      }
      try {
        found.getDeclaredField("metaDataMap");
      } catch (NoSuchFieldException notGenerated) {
        continue;
      }
      fields(found);
    }
    TreeSet<String> methods = new TreeSet<>();
    for (Method method : Class.forName(args[1] + ".Nimbus$Iface").getMethods()) {
      methods.add(method.getName());
    }
    methods.forEach(method -> System.out.println("method " + method));
  }

  private static void fields(Class<?> struct) throws Exception {
    Class.forName(struct.getName());
    Map<?, ?> all = (Map<?, ?>) struct.getDeclaredField("metaDataMap").get(null);
    TreeMap<Integer, String> lines = new TreeMap<>();
    for (Map.Entry<?, ?> entry : all.entrySet()) {
      Method id = entry.getKey().getClass().getMethod("getThriftFieldId");
      id.setAccessible(true);
      int number = (Short) id.invoke(entry.getKey());
      Object data = entry.getValue();
      byte requirement = (Byte) value(data, "requirementType");
      String required = requirement == 1 ? "required" : requirement == 2 ? "optional" : "default";
      lines.put(number, number + " " + required + " " + type(value(data, "valueMetaData"))
          + " " + value(data, "fieldName"));
    }
    String name = struct.getName().substring(struct.getName().lastIndexOf('.') + 1);
    lines.values().forEach(line -> System.out.println("field " + name + " " + line));
  }

  private static String type(Object data) throws Exception {
    switch (data.getClass().getSimpleName()) {
      case "ListMetaData": return "list<" + type(value(data, "elemMetaData")) + ">";
      case "SetMetaData": return "set<" + type(value(data, "elemMetaData")) + ">";
      case "MapMetaData":
        return "map<" + type(value(data, "keyMetaData")) + ","
            + type(value(data, "valueMetaData")) + ">";
      case "StructMetaData": return ((Class<?>) value(data, "structClass")).getSimpleName();
      case "EnumMetaData": return ((Class<?>) value(data, "enumClass")).getSimpleName();
      default: return (Boolean) value(data, "isBinary") ? "binary" : TYPES[(Byte) value(data, "type")];
    }
  }

  private static Object value(Object holder, String name) throws Exception {
    for (Class<?> each = holder.getClass(); each != null; each = each.getSuperclass()) {
      try {
        Field field = each.getDeclaredField(name);
        field.setAccessible(true);
        return field.get(holder);
      } catch (NoSuchFieldException above) {
        continue;
      }
    }
    throw new NoSuchFieldException(name);
  }
}

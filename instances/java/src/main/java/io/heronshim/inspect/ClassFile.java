package io.heronshim.inspect;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.objectweb.asm.ClassReader;
import org.objectweb.asm.ClassVisitor;
import org.objectweb.asm.ConstantDynamic;
import org.objectweb.asm.FieldVisitor;
import org.objectweb.asm.Handle;
import org.objectweb.asm.MethodVisitor;
import org.objectweb.asm.Opcodes;
import org.objectweb.asm.Type;

/**
 * What a class file says; the class itself is never loaded. Names are Java's internal ones.
 *
 * @param members `name` + `descriptor` of all fields and methods
 * @param uses what its code refers to
 */
record ClassFile(
    String name,
    String parent,
    List<String> interfaces,
    int version,
    Set<String> members,
    List<Use> uses) {
  /**
   * A reference to a class (`member` is empty) or to a field or method.
   *
   * @param makes whether an object of the class may be made by it
   * @param from name and descriptor of the method that it stands in; empty outside of methods
   */
  record Use(String owner, String member, String descriptor, boolean makes, String from) {
    /** A reference by inheritance. */
    static Use parent(String owner) {
      return new Use(owner, "", "", true, "");
    }
  }

  /**
   * Reads one; `withCode` false leaves `uses` empty.
   *
   * @throws IllegalArgumentException it is damaged, or newer than this reader
   */
  static ClassFile read(byte[] bytes, boolean withCode) {
    try {
      Visitor visitor = new Visitor();
      int skipped = ClassReader.SKIP_DEBUG | ClassReader.SKIP_FRAMES;
      new ClassReader(bytes).accept(visitor, withCode ? skipped : skipped | ClassReader.SKIP_CODE);
      return visitor.found();
    } catch (RuntimeException error) {
      throw new IllegalArgumentException("is no readable class file: " + error, error);
    }
  }

  /** Its superclass and interfaces. */
  List<String> parents() {
    List<String> all = new ArrayList<>(interfaces);
    if (parent != null) {
      all.add(0, parent);
    }
    return all;
  }

  private static final class Visitor extends ClassVisitor {
    private final Set<String> members = new HashSet<>();
    private final List<Use> uses = new ArrayList<>();
    private String name;
    private String parent;
    private List<String> interfaces;
    private int version;

    Visitor() {
      super(Opcodes.ASM9);
    }

    ClassFile found() {
      return new ClassFile(name, parent, interfaces, version, members, uses);
    }

    @Override
    public void visit(
        int classVersion, int access, String own, String signature, String above, String[] others) {
      name = own;
      parent = above;
      interfaces = others == null ? List.of() : List.of(others);
      version = classVersion & 0xffff;
    }

    @Override
    public FieldVisitor visitField(
        int access, String field, String descriptor, String signature, Object value) {
      members.add(field + descriptor);
      return null;
    }

    @Override
    public MethodVisitor visitMethod(
        int access, String method, String descriptor, String signature, String[] exceptions) {
      members.add(method + descriptor);
      return new Code(uses, method + descriptor);
    }
  }

  /** Collects what the code of a method refers to. */
  private static final class Code extends MethodVisitor {
    private final List<Use> uses;
    private final String from;

    Code(List<Use> uses, String from) {
      super(Opcodes.ASM9);
      this.uses = uses;
      this.from = from;
    }

    private void add(String owner, String member, String descriptor) {
      // Arrays have the methods of Object.
      if (!owner.startsWith("[")) {
        uses.add(new Use(owner, member, descriptor, false, from));
      }
    }

    private void add(Type type, boolean makes) {
      Type element = type.getSort() == Type.ARRAY ? type.getElementType() : type;
      if (element.getSort() == Type.OBJECT) {
        uses.add(new Use(element.getInternalName(), "", "", makes, from));
      }
    }

    private void addConstant(Object value) {
      if (value instanceof Type type) {
        // Whoever has a class may make an object of it.
        add(type, true);
      } else if (value instanceof Handle handle) {
        add(handle.getOwner(), handle.getName(), handle.getDesc());
      } else if (value instanceof ConstantDynamic dynamic) {
        for (int index = 0; index < dynamic.getBootstrapMethodArgumentCount(); index++) {
          addConstant(dynamic.getBootstrapMethodArgument(index));
        }
      }
    }

    @Override
    public void visitTypeInsn(int opcode, String type) {
      add(Type.getObjectType(type), opcode == Opcodes.NEW);
    }

    @Override
    public void visitFieldInsn(int opcode, String owner, String field, String descriptor) {
      add(owner, field, descriptor);
    }

    @Override
    public void visitMethodInsn(
        int opcode, String owner, String method, String descriptor, boolean isInterface) {
      add(owner, method, descriptor);
    }

    @Override
    public void visitLdcInsn(Object value) {
      addConstant(value);
    }

    @Override
    public void visitMultiANewArrayInsn(String descriptor, int dimensions) {
      add(Type.getType(descriptor), false);
    }

    @Override
    public void visitInvokeDynamicInsn(
        String method, String descriptor, Handle bootstrap, Object... arguments) {
      for (Object argument : arguments) {
        addConstant(argument);
      }
    }
  }
}

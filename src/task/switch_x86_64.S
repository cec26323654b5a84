/*
 * switch_x86_64.S - leaves one stack and continues on another (System V ABI, x86-64).
 *
 *   void  ush__switch(void **save_sp, void *load_sp);
 *   void *ush__switch_prepare(void *high, void *task);
 *
 * A function call already lets the callee destroy every register but rbx, rbp, r12-r15, rsp and
 * the control bits of mxcsr and of the x87 unit. So those are all that has to be kept; they are
 * pushed onto the stack that is left, and its stack pointer is the whole handle:
 *
 *   sp -> mxcsr, x87 control word | r15 | r14 | r13 | r12 | rbx | rbp | return address
 *   +0      +4                      +8    +16   +24   +32   +40   +48   +56
 *
 * The control words are loaded only when they differ: ldmxcsr waits for the pipeline, the compare
 * does not. The resumed side is entered by a jump: the processor's return stack still holds the
 * calls of the side that was left, so a `ret` would always be predicted wrongly. (`notrack`: the
 * place behind a call is no landing pad.)
 *
 * A new stack is prepared as if it had called ush__switch from ush__trampoline. There the return
 * address is undefined for unwinders and rbp is 0, so debuggers and frame walkers stop.
 *
 * No shadow-stack property note is emitted: this code does not switch shadow stacks, and without
 * the note the linker marks the program so.
 */
    .text

    .globl ush__switch
    .hidden ush__switch
    .type ush__switch, @function
    .p2align 4
ush__switch:
    .cfi_startproc
    endbr64
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movl (%rsp), %eax
    movzwl 4(%rsp), %edx
    movq %rsp, (%rdi)

    movq %rsi, %rsp
    cmpl (%rsp), %eax
    jne .Lload_mxcsr
.Lmxcsr_done:
    cmpw 4(%rsp), %dx
    jne .Lload_x87
.Lx87_done:
    .cfi_remember_state
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    popq %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    popq %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, rcx
    notrack jmp *%rcx
    .cfi_restore_state
.Lload_mxcsr:
    ldmxcsr (%rsp)
    jmp .Lmxcsr_done
.Lload_x87:
    fldcw 4(%rsp)
    jmp .Lx87_done
    .cfi_endproc
    .size ush__switch, . - ush__switch

    .globl ush__switch_prepare
    .hidden ush__switch_prepare
    .type ush__switch_prepare, @function
    .p2align 4
ush__switch_prepare:
    .cfi_startproc
    endbr64
    leaq -64(%rdi), %rax
    stmxcsr (%rax)
    fnstcw 4(%rax)
    xorl %edx, %edx
    movw %dx, 6(%rax)
    movq %rdx, 8(%rax)
    movq %rdx, 16(%rax)
    movq %rdx, 24(%rax)
    movq %rdx, 32(%rax)
    movq %rsi, 40(%rax)
    movq %rdx, 48(%rax)
    leaq ush__trampoline(%rip), %rcx
    movq %rcx, 56(%rax)
    ret
    .cfi_endproc
    .size ush__switch_prepare, . - ush__switch_prepare

    .type ush__trampoline, @function
    .p2align 4
ush__trampoline:
    .cfi_startproc
    .cfi_undefined rip
    endbr64
    xorl %ebp, %ebp
    movq %rbx, %rdi
    call ush__task_main
    ud2
    .cfi_endproc
    .size ush__trampoline, . - ush__trampoline

    .section .note.GNU-stack, "", @progbits

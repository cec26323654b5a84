/*
 * switch_aarch64.S - from the loop's stack to a task's and back (AAPCS64).
 *
 * What a call must keep is x19-x28, the frame pointer x29, sp and the low halves of v8-v15 (d8-d15,
 * easily forgotten); the control bits of fpcr are kept as well. They are stored on the stack that is
 * left, and its stack pointer is the whole handle:
 *
 *   sp -> x29 resume | x19 x20 | x21 x22 | x23 x24 | x25 x26 | x27 x28 | d8 ... d15 | fpcr | red zone
 *   +0                 +16       +32       +48       +64       +80       +96          +160   +176
 *
 * The code is entered by a jump out of the inline functions in switch.h:
 *
 *   x0  where to store the stack pointer that is left      x1  the stack pointer to go on with
 *   x3  the address at which this side is to go on          x2  the loop's fpcr (in)
 *
 * No call and no `ret`, because the processor would predict returns from calls that are answered on
 * another stack; two functions with one layout, so that each jump at the end nearly always has the
 * same target. The loop's fpcr is a constant of the loop; a register that holds what is wanted
 * already is not written.
 *
 * A new stack looks as if it had left through ush__switch_out at the trampoline. The return address
 * of ush__task_main, which never returns, lies where unwinders find "no caller", and x29 is 0. Return addresses that were signed with the stack
 * pointer stay good, because that stack pointer comes back with them. Landing pads are written as
 * hints, which processors without BTI ignore. x18 is the platform's and is not touched.
 */
    .text

    .macro function name
    .globl \name
    .hidden \name
    .type \name, %function
    .p2align 5
\name:
    .cfi_startproc
    hint #34 /* bti c */
    .endm

    .macro end_function name
    .cfi_endproc
    .size \name, . - \name
    .endm

    .macro save_registers
    .cfi_def_cfa sp, 0
    .cfi_register x30, x3
    sub sp, sp, #304
    .cfi_def_cfa_offset 304
    stp x29, x3, [sp]
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    stp x19, x20, [sp, #16]
    stp x21, x22, [sp, #32]
    stp x23, x24, [sp, #48]
    stp x25, x26, [sp, #64]
    stp x27, x28, [sp, #80]
    .cfi_rel_offset x19, 16
    .cfi_rel_offset x20, 24
    .cfi_rel_offset x21, 32
    .cfi_rel_offset x22, 40
    .cfi_rel_offset x23, 48
    .cfi_rel_offset x24, 56
    .cfi_rel_offset x25, 64
    .cfi_rel_offset x26, 72
    .cfi_rel_offset x27, 80
    .cfi_rel_offset x28, 88
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    .endm

    /* x2 holds the fpcr that is in force. */
    .macro switch_and_load
    str x2, [sp, #160]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldr x4, [sp, #160]
    cmp x2, x4
    b.eq 1f
    msr fpcr, x4
1:  ldp d14, d15, [sp, #144]
    ldp d12, d13, [sp, #128]
    ldp d10, d11, [sp, #112]
    ldp d8, d9, [sp, #96]
    ldp x27, x28, [sp, #80]
    ldp x25, x26, [sp, #64]
    ldp x23, x24, [sp, #48]
    ldp x21, x22, [sp, #32]
    ldp x19, x20, [sp, #16]
    ldp x29, x16, [sp]
    add sp, sp, #304
    .cfi_def_cfa_offset 0
    .cfi_restore x19
    .cfi_restore x20
    .cfi_restore x21
    .cfi_restore x22
    .cfi_restore x23
    .cfi_restore x24
    .cfi_restore x25
    .cfi_restore x26
    .cfi_restore x27
    .cfi_restore x28
    .cfi_restore x29
    .cfi_register x30, x16
    br x16
    .endm

    function ush__switch_in
    save_registers
    switch_and_load
    end_function ush__switch_in

    function ush__switch_out
    save_registers
    mrs x2, fpcr
    switch_and_load
    end_function ush__switch_out

    function ush__switch_control
    mrs x0, fpcr
    ret
    end_function ush__switch_control

    function ush__switch_prepare
    sub x9, x0, #304
    adr x10, ush__trampoline
    stp xzr, x10, [x9]
    stp x1, xzr, [x9, #16]
    stp xzr, xzr, [x9, #32]
    stp xzr, xzr, [x9, #48]
    stp xzr, xzr, [x9, #64]
    stp xzr, xzr, [x9, #80]
    stp xzr, xzr, [x9, #96]
    stp xzr, xzr, [x9, #112]
    stp xzr, xzr, [x9, #128]
    stp xzr, xzr, [x9, #144]
    stp x2, xzr, [x9, #160]
    mov x0, x9
    ret
    end_function ush__switch_prepare

    .p2align 4
    .type ush__trampoline, %function
ush__trampoline:
    .cfi_startproc
    .cfi_undefined x30
    hint #36 /* bti j */
    mov x29, #0
    mov x0, x19
    adr x30, .Lnowhere
    b ush__task_main
    brk #0
.Lnowhere:
    brk #0
    .cfi_endproc

    .section .note.GNU-stack, "", %progbits

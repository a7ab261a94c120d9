/*
 * Windows' random numbers for a wine that does not have them: Rust's standard library asks `ProcessPrng` of this DLL, which wine has since 9.
 * Laid beside the programs, where wine looks first; asks wine's older call, which asks Linux. Real Windows never sees it.
 */
#include <windows.h>

BOOLEAN WINAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE buffer, SIZE_T length)
{
    while (length > 0) {
        ULONG piece = length > 0x10000000 ? 0x10000000 : (ULONG)length;
        if (!SystemFunction036(buffer, piece))
            return FALSE;
        buffer += piece;
        length -= piece;
    }
    return TRUE;
}

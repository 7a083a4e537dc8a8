"""What every door of the service stands on, put together once by ``bootstrap``."""

from dataclasses import dataclass

from ihala_runtime.clock import Clock
from ihala_runtime.postgres import Database

from ihala_intake.adapters.audit_check import AuditCheck
from ihala_intake.adapters.group_commit import GroupCommit
from ihala_intake.adapters.intake_store import IntakeStore
from ihala_intake.adapters.subject_files import SubjectFiles
from ihala_intake.handlers.correct_case import CorrectCase
from ihala_intake.handlers.disclose import Disclose
from ihala_intake.handlers.erase_subject import EraseSubject
from ihala_intake.handlers.open_file import OpenFile
from ihala_intake.handlers.read_contact import ReadContact
from ihala_intake.handlers.submit_intake import Arrival, Outcome, PrepareIntake


@dataclass(frozen=True, slots=True)
class Doors:
    clock: Clock
    database: Database
    prepare: PrepareIntake
    store: IntakeStore
    group_commit: GroupCommit[Arrival, Outcome]
    open_file: OpenFile
    disclose: Disclose
    read_contact: ReadContact
    audit_check: AuditCheck
    subject_files: SubjectFiles
    correct_case: CorrectCase
    erase_subject: EraseSubject

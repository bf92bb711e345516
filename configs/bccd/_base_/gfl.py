# A taught GFL; the method is what its children add.
_base_ = '../bccd_gfl-student.py'

model = dict(
    type='KnowledgeDistillationOneStageDetector',
    teacher=dict(
        config='{{ fileDirname }}/../bccd_gfl-teacher.py',
        checkpoint='work_dirs/bccd_gfl-teacher/epoch_16.pth'))
